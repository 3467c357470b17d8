package halo_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/halo"
)

func drawData(t *rapid.T) halo.Data {
	some := rapid.SliceOfN(rapid.Byte(), 1, 40)
	var d halo.Data
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		d.Changes = append(d.Changes, halo.Change{
			Doc: [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "doc")), Bytes: some.Draw(t, "change"),
			Branch: rapid.Uint64Range(0, halo.MaxBranches-1).Draw(t, "branch"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "imports") {
		nonce := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "nonce"))
		d.Imports = append(d.Imports, halo.NewImport(nonce, rapid.SliceOfN(some, 1, 3).Draw(t, "imported")))
	}
	for range rapid.IntRange(0, 2).Draw(t, "blobs") {
		d.Blobs = append(d.Blobs, [32]byte{rapid.Byte().Draw(t, "blob")})
	}
	d.App = rapid.StringMatching(`[a-z.]{0,10}`).Draw(t, "app")
	return d
}

func TestDataGoesThroughBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawData(t)
		plain, err := d.Encode()
		if len(d.Changes)+len(d.Imports) == 0 {
			if !errors.Is(err, halo.ErrMalformed) {
				t.Fatalf("no changes: got %v, want ErrMalformed", err)
			}
			return
		}
		check2(t, err)
		got, err := halo.DecodeData(plain)
		check2(t, err)
		again, err := got.Encode()
		check2(t, err)
		if !bytes.Equal(again, plain) {
			t.Fatalf("got %x, want %x", again, plain)
		}
		if len(d.Changes) > 0 && !reflect.DeepEqual(got.Changes, d.Changes) || len(d.Imports) > 0 && !reflect.DeepEqual(got.Imports, d.Imports) {
			t.Fatalf("got %+v, want %+v", got, d)
		}
	})
}

func check2(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDataRefuses(t *testing.T) {
	one := halo.Change{Doc: [16]byte{1}, Bytes: []byte("c")}
	many := make([]halo.Change, halo.MaxChanges)
	for i := range many {
		many[i] = one
	}
	imported := halo.NewImport([16]byte{1}, [][]byte{{1}, {2}})
	other := imported
	other.Nonce[0]++
	tests := []struct {
		name string
		data halo.Data
		want error
	}{
		{"one", halo.Data{Changes: []halo.Change{one}}, nil},
		{"most", halo.Data{Changes: many}, nil},
		{"most with an import", halo.Data{Changes: many[2:], Imports: []halo.Import{imported}}, nil},
		{"none", halo.Data{}, halo.ErrMalformed},
		{"empty change", halo.Data{Changes: []halo.Change{{}}}, halo.ErrMalformed},
		{"branch", halo.Data{Changes: []halo.Change{{Bytes: []byte("c"), Branch: halo.MaxBranches}}}, halo.ErrMalformed},
		{"too many", halo.Data{Changes: append(many[:len(many):len(many)], one)}, halo.ErrTooLarge},
		{"too many with an import", halo.Data{Changes: many[1:], Imports: []halo.Import{imported}}, halo.ErrTooLarge},
		{"too long", halo.Data{Changes: []halo.Change{{Bytes: make([]byte, halo.MaxPlain)}}}, halo.ErrTooLarge},
		{"another's import id", halo.Data{Imports: []halo.Import{other}}, halo.ErrMalformed},
		{"import of nothing", halo.Data{Imports: []halo.Import{halo.NewImport([16]byte{}, nil)}}, halo.ErrMalformed},
		{"long name", halo.Data{Changes: []halo.Change{one}, App: strings.Repeat("a", 129)}, halo.ErrMalformed},
		{"name not normal", halo.Data{Changes: []halo.Change{one}, App: "e\u0301"}, halo.ErrMalformed},
	}
	for _, test := range tests {
		if _, err := test.data.Encode(); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

// TestDecodersRefuseOtherEncodings: the decoder alone would accept these.
func TestDecodersRefuseOtherEncodings(t *testing.T) {
	good, err := halo.Adopt{Entries: []halo.EntryID{{1}}}.Encode()
	check(t, err)
	if _, err := halo.DecodeAdopt(good); err != nil {
		t.Fatalf("canonical: got %v, want nil", err)
	}
	id := good[5:]
	for name, b := range map[string][]byte{
		"long integer key": append([]byte{0xa1, 0x18, 0x01, 0x81, 0x58, 0x20}, id...),
		"long array":       append([]byte{0xa1, 0x01, 0x98, 0x01, 0x58, 0x20}, id...),
		"long byte string": append([]byte{0xa1, 0x01, 0x81, 0x59, 0x00, 0x20}, id...),
		"indefinite array": append(append([]byte{0xa1, 0x01, 0x9f, 0x58, 0x20}, id...), 0xff),
		"short id":         append([]byte{0xa1, 0x01, 0x81, 0x58, 0x1f}, id[1:]...),
		"long id":          append(append([]byte{0xa1, 0x01, 0x81, 0x58, 0x21}, id...), 0),
		"null list":        {0xa1, 0x01, 0xf6},
		"unknown field":    append(append([]byte{0xa2}, good[1:]...), 0x02, 0x00),
		"field twice":      append(append([]byte{0xa2}, good[1:]...), good[1:]...),
		"tag":              append([]byte{0xc1}, good...),
		"something after":  append(bytes.Clone(good), 0),
		"cut off":          good[:len(good)-1],
		"nothing":          {},
	} {
		if _, err := halo.DecodeAdopt(b); !errors.Is(err, halo.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestPadding(t *testing.T) {
	if got, want := halo.Padme(halo.MaxPlain+4)+16, halo.MaxPayload; got != want {
		t.Errorf("largest payload: got %d, want %d", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := make([]byte, rapid.IntRange(0, 5000).Draw(t, "length"))
		padded, err := halo.Pad(plain)
		check2(t, err)
		if n := len(plain) + 4; len(padded) < n || len(padded) > n+n/8+1 {
			t.Fatalf("%d bytes became %d", n, len(padded))
		}
		got, err := halo.Unpad(padded)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Unpad: got %d bytes, %v, want %d", len(got), err, len(plain))
		}
		if _, err := halo.Unpad(append(padded, 0)); err == nil {
			t.Fatal("a longer padding is accepted")
		}
	})
	if _, err := halo.Pad(make([]byte, halo.MaxPlain+1)); !errors.Is(err, halo.ErrTooLarge) {
		t.Errorf("too long: got %v, want ErrTooLarge", err)
	}
}

func TestBranchesHaveDifferentActors(t *testing.T) {
	seen := map[[16]byte]int{}
	for n := range 1000 {
		a := halo.Actor(halo.FeedID{1}, [16]byte{2}, uint16(n))
		if m, ok := seen[a]; ok {
			t.Fatalf("branches %d and %d share an actor", m, n)
		}
		seen[a] = n
	}
}

func TestLabels(t *testing.T) {
	key, err := halo.NewEpochKey()
	check(t, err)
	space := halo.SpaceID{1}
	for _, text := range []string{"", "laptop", strings.Repeat("ü", 100), "\x80\x00"} {
		sealed, err := key.SealLabel(space, "device", text)
		check(t, err)
		if got, err := key.OpenLabel(space, "device", sealed); err != nil || got != text {
			t.Errorf("OpenLabel: got %q, %v, want %q", got, err, text)
		}
		if epoch, err := halo.LabelEpoch(sealed); err != nil || epoch != key.ID(space) {
			t.Errorf("LabelEpoch: got %v, %v", epoch, err)
		}
		if _, err := key.OpenLabel(space, "profile", sealed); !errors.Is(err, halo.ErrDecrypt) {
			t.Errorf("opened as something else: got %v, want ErrDecrypt", err)
		}
		if _, err := key.OpenLabel(halo.SpaceID{2}, "device", sealed); !errors.Is(err, halo.ErrDecrypt) {
			t.Errorf("opened in another space: got %v, want ErrDecrypt", err)
		}
	}
	if _, err := key.SealLabel(space, "device", strings.Repeat("x", 513)); !errors.Is(err, halo.ErrTooLarge) {
		t.Errorf("long label: got %v, want ErrTooLarge", err)
	}
}
