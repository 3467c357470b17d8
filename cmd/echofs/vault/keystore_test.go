package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
)

// makeTest makes a vault in a home directory of its own.
func makeTest(t *testing.T, opts MakeOptions) (*Dir, func(string) string) {
	t.Helper()
	home := t.TempDir()
	getenv := func(k string) string { return map[string]string{"HOME": home}[k] }
	opts.Getenv = getenv
	d, err := Make(filepath.Join(home, "vault"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d, getenv
}

func open(t *testing.T, d *Dir, getenv func(string) string) *keystore {
	t.Helper()
	k, err := d.openKeystore(Access{}, getenv)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMake(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{Name: "Ada", Device: "laptop"})
	if !d.Complete() {
		t.Error("a made vault is not complete")
	}
	c, err := open(t, d, getenv).settings()
	if err != nil || c.Name != "Ada" || c.Device != "laptop" || c.NoPhrase {
		t.Errorf("settings: got %+v, %v", c, err)
	}
	genesis, err := d.genesis()
	if err != nil || len(genesis) != 1 {
		t.Fatalf("genesis: got %d credentials, %v, want one", len(genesis), err)
	}
	first, err := halo.ParseCredential(genesis[0])
	if err != nil {
		t.Fatal(err)
	}
	if k := open(t, d, getenv); k.keys.Identity != halo.IdentityID(first.ID) {
		t.Errorf("identity: got %v, want that of the genesis, %v", k.keys.Identity, first.ID)
	}
	if _, err := Make(d.Path(), MakeOptions{Getenv: getenv}); !errors.Is(err, ErrExists) {
		t.Errorf("again: got %v, want %v", err, ErrExists)
	}
}

// A vault whose making was cut off before its keys were written is made anew.
func TestMakeAfterCrash(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{Name: "Ada"})
	if err := os.Remove(d.file(keystoreName)); err != nil {
		t.Fatal(err)
	}
	if err := d.checkNotMade(); !errors.Is(err, ErrNoVault) || control.HintOf(err) == "" {
		t.Errorf("incomplete vault: got %v, want %v with a hint", err, ErrNoVault)
	}
	again, err := Make(d.Path(), MakeOptions{Name: "Bob", Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := open(t, again, getenv).settings(); err != nil || c.Name != "Bob" || again.ID() != d.ID() {
		t.Errorf("got %+v, %v, want Bob's vault with the same id", c, err)
	}
}

func TestEpochKeysAreKept(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{})
	k := open(t, d, getenv)
	space := echo.SpaceID{1}
	key, err := halo.EpochKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		if err := k.AddEpochKey(space, key); err != nil {
			t.Fatal(err)
		}
	}
	got := open(t, d, getenv).EpochKeys(space)
	if len(got) != 1 || got[0].ID(space) != key.ID(space) {
		t.Errorf("after opening again: got %d keys, want the one that was added", len(got))
	}
}

// A key that could not be written is not kept in memory either.
func TestEpochKeyNotWritten(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{})
	k := open(t, d, getenv)
	if err := os.Rename(d.path, d.path+".away"); err != nil {
		t.Fatal(err)
	}
	key, err := halo.EpochKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.AddEpochKey(echo.SpaceID{1}, key); err == nil {
		t.Error("got no error without the vault's directory")
	}
	if got := k.EpochKeys(echo.SpaceID{1}); len(got) != 0 {
		t.Errorf("got %d keys, want none", len(got))
	}
}

func TestForgetPhrase(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{})
	k := open(t, d, getenv)
	phrase, err := k.phrase()
	if err != nil || len(strings.Fields(phrase)) != 24 {
		t.Fatalf("got %d words, %v, want 24", len(strings.Fields(phrase)), err)
	}
	if err := k.forgetPhrase(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, d, getenv).phrase(); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("forgotten: got %v, want %v", err, echo.ErrNotFound)
	}
	// Nor is it in the copy of the file before.
	if err := os.Rename(d.file(keystoreName)+".1", d.file(keystoreName)); err != nil {
		t.Fatal(err)
	}
	if open(t, d, getenv).hasPhrase() {
		t.Error("the previous keystore still has the phrase")
	}
	d, getenv = makeTest(t, MakeOptions{NoPhrase: true})
	if open(t, d, getenv).hasPhrase() {
		t.Error("a vault without phrase has one")
	}
}

func TestDamagedKeystore(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{})
	good, err := os.ReadFile(d.file(keystoreName))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for _, bad := range [][]byte{nil, good[:40], flipped, []byte("EFSK1\n")} {
		if err := os.WriteFile(d.file(keystoreName), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.openKeystore(Access{}, getenv); !errors.Is(err, halo.ErrKeystore) || !strings.Contains(control.HintOf(err), keystoreName+".1") {
			t.Errorf("%d bytes: got %v, want %v and where the copy is", len(bad), err, halo.ErrKeystore)
		}
	}
}
