package halo_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/halo"
)

func TestIDsGoThroughText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id [32]byte
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		text := halo.SpaceID(id).String()
		mangled := strings.NewReplacer("0", "O", "1", "l", "-", " ").Replace(strings.ToUpper(text[4:]))
		for _, s := range []string{text, strings.ToUpper(text), strings.ReplaceAll(text, "-", ""), " " + text[:4] + mangled + "\n"} {
			if got, err := halo.ParseSpaceID(s); err != nil || got != id {
				t.Errorf("ParseSpaceID(%q): got %v, %v, want %v", s, got, err, text)
			}
		}
		if got, err := halo.ParseDeviceID(halo.DeviceID(id).String()); err != nil || got != id {
			t.Errorf("ParseDeviceID: got %v, %v", got, err)
		}
		if got, err := halo.ParseEntryID(halo.EntryID(id).String()); err != nil || got != id {
			t.Errorf("ParseEntryID: got %v, %v", got, err)
		}
		if short := halo.SpaceID(id).Short(); len(short) != 14 || !strings.HasPrefix(short, "esp1") {
			t.Errorf("Short: got %q, want esp1 and ten characters", short)
		}
	})
}

// TestATypoIsNoticed changes each character of an id, and swaps neighbours.
func TestATypoIsNoticed(t *testing.T) {
	id := halo.IdentityID(bytes.Repeat([]byte{0x5a, 0xc3}, 16))
	text := id.String()
	for i := len("eid1"); i < len(text); i++ {
		if text[i] == '-' {
			continue
		}
		for _, c := range "0123456789abcdefghjkmnpqrstvwxyz" {
			typo := text[:i] + string(c) + text[i+1:]
			got, err := halo.ParseIdentityID(typo)
			if typo != text && !errors.Is(err, halo.ErrBadID) || typo == text && got != id {
				t.Errorf("ParseIdentityID(%q): got %v", typo, err)
			}
		}
		if i+1 < len(text) && text[i+1] != '-' && text[i] != text[i+1] {
			swapped := text[:i] + string(text[i+1]) + string(text[i]) + text[i+2:]
			if _, err := halo.ParseIdentityID(swapped); !errors.Is(err, halo.ErrBadID) {
				t.Errorf("ParseIdentityID(%q): got %v, want ErrBadID", swapped, err)
			}
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	good := halo.SpaceID{1}.String()
	for _, s := range []string{"", "esp1", "esp", good[:len(good)-2], good + "0", "eid1" + good[4:], "esp1" + strings.Repeat("0", 1000), good[4:]} {
		if _, err := halo.ParseSpaceID(s); !errors.Is(err, halo.ErrBadID) {
			t.Errorf("ParseSpaceID(%q): got %v, want ErrBadID", s, err)
		}
	}
	for _, s := range []string{"", "00", strings.Repeat("g", 64), strings.Repeat("0", 65)} {
		if _, err := halo.ParseCredentialID(s); !errors.Is(err, halo.ErrBadID) {
			t.Errorf("ParseCredentialID(%q): got %v, want ErrBadID", s, err)
		}
	}
}

// TestPublicID uses the key and the id of a space that the DXOS client made.
func TestPublicID(t *testing.T) {
	key, err := hex.DecodeString("0461fb2c99d92a700d8529d36031930c8f255f1028b2a4e1a7e3a5f056c8aecb679af1b8ef3610ed805f0a63340e1f8aaab3a5bfaab00ecc256dc45efb1c27fc72")
	check(t, err)
	if got, want := halo.PublicID(key), "BXI2YEJ7SYR6LUXXYM5PNAH663VEPWHC2"; got != want {
		t.Errorf("PublicID: got %q, want %q", got, want)
	}
	if got, want := halo.DID(make([]byte, 32)), "did:halo:BMZUHVLPYMK6XO3EPYGFY5H4OEAEJOFEF"; got != want {
		t.Errorf("DID: got %q, want %q", got, want)
	}
}
