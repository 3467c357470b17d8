package vault

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

func TestSettings(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{Name: "Bob"})
	k := open(t, d, getenv)
	want := Config{Name: "Ada", Device: "laptop", Signal: []string{"wss://example.org"}, ICE: []string{"stun:example.org:3478"}}
	if err := k.setSettings(want); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, d, getenv).settings()
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	bad := []Config{
		{Name: "Ada\n"}, {Device: strings.Repeat("x", 101)}, {Name: "\xff"},
		{Signal: []string{"http://example.org"}}, {Signal: []string{"example.org"}}, {Signal: []string{"ws://"}},
		{ICE: []string{"https://example.org"}}, {ICE: []string{"stun:"}},
	}
	for _, c := range bad {
		if err := k.setSettings(c); control.CodeOf(err) != control.Usage {
			t.Errorf("setSettings(%+v): got %v, want a usage error", c, err)
		}
	}
	if got, err := k.settings(); err != nil || got.Name != "Ada" {
		t.Errorf("after bad ones: got %+v, %v, want the good one", got, err)
	}
	sealed, err := os.ReadFile(d.file(settingsName))
	if err != nil || bytes.Contains(sealed, []byte("Ada")) || bytes.Contains(sealed, []byte("example")) {
		t.Errorf("the file shows what is in it: %q, %v", sealed, err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x10
		if err := os.WriteFile(d.file(settingsName), changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.settings(); err == nil {
			t.Fatalf("byte %d changed: got no error", i)
		}
	}
}

// The settings of an earlier version are in plain; they are sealed, and what was
// in plain is removed.
func TestPlainSettingsAreSealed(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{Name: "Bob"})
	k := open(t, d, getenv)
	if err := os.Remove(d.file(settingsName)); err != nil {
		t.Fatal(err)
	}
	if c, err := k.settings(); err != nil || c.Name != "" {
		t.Errorf("without a file: got %+v, %v, want nothing", c, err)
	}
	if err := os.Remove(d.file(settingsName)); err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(d.file(configName), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"signl":[]}`)
	if _, err := k.settings(); err == nil || control.HintOf(err) == "" {
		t.Errorf("mistyped key: got %v, want an error with a hint", err)
	}
	write(`{"name":"Ada","signal":["wss://example.org"]}`)
	for range 2 { // the second time from the sealed file
		if c, err := k.settings(); err != nil || c.Name != "Ada" || len(c.Signal) != 1 {
			t.Errorf("got %+v, %v, want Ada's", c, err)
		}
		if _, err := os.Lstat(d.file(configName)); !os.IsNotExist(err) {
			t.Errorf("the plain file: got %v, want none", err)
		}
	}
}

// FuzzUnseal: whatever a sealed file holds, it is what was sealed or refused.
func FuzzUnseal(f *testing.F) {
	keys, err := halo.NewKeystore()
	if err != nil {
		f.Fatal(err)
	}
	good, err := seal(keys, settingsMagic, []byte(`{"name":"Ada"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(settingsMagic))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		content, err := unseal(keys, settingsMagic, b)
		if err == nil && !bytes.Equal(b, good) {
			t.Errorf("got %q of a file that nobody has sealed", content)
		}
	})
}

// FuzzConfig: what is read as settings can be used.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"name":"Ada","device":"laptop","no_phrase":false,"signal":["wss://example.org"],"ice":["stun:example.org"],"no_lan":true}`))
	f.Add([]byte(`{"name":"\u0000"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseConfig(b); err == nil && c.Check() != nil {
			t.Errorf("got settings that are refused: %+v", c)
		}
	})
}
