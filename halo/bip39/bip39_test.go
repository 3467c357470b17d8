package bip39_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"echofs/halo/bip39"
)

func TestWordListIsTheOfficialOne(t *testing.T) {
	list, err := os.ReadFile("english.txt")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(list)
	want := "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA-256 of the list: got %s, want %s", got, want)
	}
}

// Vectors published with BIP 39 (passphrase "TREZOR").
var vectors = []struct{ entropy, phrase, seed string }{
	{"00000000000000000000000000000000",
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
		"c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"},
	{"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
		"legal winner thank year wave sausage worth useful legal winner thank yellow",
		"2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607"},
	{"80808080808080808080808080808080",
		"letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
		"d71de856f81a8acc65e6fc851a38d4d7ec216fd0796d0a6827a3ad6ed5511a30fa280f12eb2e47ed2ac03b5c462a0358d18d69fe4f985ec81778c1b370b652a8"},
	{"ffffffffffffffffffffffffffffffff",
		"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
		"ac27495480225222079d7be181583751e86f571027b0497b5b5d11218e0a8a13332572917f0f8e5a589620c6f15b11c61dee327651a14c34e18231052e48c069"},
	{"0000000000000000000000000000000000000000000000000000000000000000",
		strings.Repeat("abandon ", 23) + "art",
		"bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8"},
	{"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		strings.Repeat("zoo ", 23) + "vote",
		"dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad"},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		entropy, err := hex.DecodeString(v.entropy)
		if err != nil {
			t.Fatal(err)
		}
		phrase, err := bip39.Encode(entropy)
		if err != nil || phrase != v.phrase {
			t.Errorf("Encode(%s): got %q, %v, want %q", v.entropy, phrase, err, v.phrase)
		}
		back, err := bip39.Decode(v.phrase)
		if err != nil || !bytes.Equal(back, entropy) {
			t.Errorf("Decode(%q): got %x, %v, want %s", v.phrase, back, err, v.entropy)
		}
		seed, err := bip39.Seed(v.phrase, "TREZOR")
		if got := hex.EncodeToString(seed); err != nil || got != v.seed {
			t.Errorf("Seed(%q): got %s, %v, want %s", v.phrase, got, err, v.seed)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, phrase := range []string{
		"",
		"abandon",
		strings.Repeat("abandon ", 12),
		strings.Repeat("abandon ", 24),
		strings.Repeat("abandon ", 27),
		strings.Repeat("abandon ", 11) + "abaut",
		strings.Repeat("zoo ", 23) + "zzz",
	} {
		if _, err := bip39.Decode(phrase); !errors.Is(err, bip39.ErrPhrase) {
			t.Errorf("Decode(%q): got %v, want ErrPhrase", phrase, err)
		}
	}
	if _, err := bip39.Encode(make([]byte, 15)); !errors.Is(err, bip39.ErrPhrase) {
		t.Errorf("Encode of 15 bytes: got %v, want ErrPhrase", err)
	}
}

func TestDecodeIsTolerantOfCaseAndSpace(t *testing.T) {
	if _, err := bip39.Decode("  ZOO zoo\nzoo zoo zoo zoo zoo\tzoo zoo zoo Zoo  wrong "); err != nil {
		t.Errorf("Decode: got %v, want nil", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.phrase)
	}
	f.Add("zoo zoo zoo")
	f.Fuzz(func(t *testing.T, phrase string) {
		entropy, err := bip39.Decode(phrase)
		if err != nil {
			return
		}
		again, err := bip39.Encode(entropy)
		if want := strings.Join(strings.Fields(strings.ToLower(phrase)), " "); err != nil || again != want {
			t.Errorf("Encode(Decode(%q)): got %q, %v", phrase, again, err)
		}
	})
}
