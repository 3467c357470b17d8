package halo_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"echofs/halo"
)

// Whoever has opened a keystore writes it again, and the passphrase opens that
// too: the key is the same one, and the passphrase is not needed for it.
func TestUnlockedKeystoreIsSealedAgain(t *testing.T) {
	phrase := halo.PassphraseProtector([]byte("correct horse"), halo.Argon{})
	file, err := halo.SealKeystore(newKeystore(t), phrase)
	check(t, err)
	keys, opened, err := halo.UnlockKeystore(file, phrase)
	check(t, err)
	key, err := halo.NewEpochKey()
	check(t, err)
	keys.AddEpochKey(halo.SpaceID{9}, key)
	begun := time.Now()
	again, err := halo.SealKeystore(keys, opened)
	check(t, err)
	t.Logf("sealed again in %v", time.Since(begun))
	if bytes.Equal(again, file) {
		t.Error("the keystore is the same file")
	}
	got, err := halo.OpenKeystore(again, phrase)
	check(t, err)
	if _, ok := got.EpochKey(halo.SpaceID{9}, key.ID(halo.SpaceID{9})); !ok {
		t.Error("what was added is not there")
	}
	// Without the passphrase it opens nothing, least of all another keystore.
	if _, err := halo.OpenKeystore(file, opened); err != halo.ErrKeystore {
		t.Errorf("a protector without passphrase: got %v, want ErrKeystore", err)
	}
}

// A new passphrase comes with a new key: the key of before opens nothing of
// what is written after.
func TestNewPassphraseHasANewKey(t *testing.T) {
	one, two := halo.PassphraseProtector([]byte("one"), halo.Argon{}), halo.PassphraseProtector([]byte("two"), halo.Argon{})
	file, err := halo.SealKeystore(newKeystore(t), one)
	check(t, err)
	keys, _, err := halo.UnlockKeystore(file, one)
	check(t, err)
	changed, err := halo.SealKeystore(keys, two)
	check(t, err)
	for name, p := range map[string]halo.Protector{"the old passphrase": one, "a key file": keyfile(t, 1)} {
		if _, err := halo.OpenKeystore(changed, p); err != halo.ErrKeystore {
			t.Errorf("%s: got %v, want ErrKeystore", name, err)
		}
	}
	if _, err := halo.OpenKeystore(changed, two); err != nil {
		t.Errorf("the new passphrase: got %v", err)
	}
}

// A damaged file is told from a wrong passphrase by nothing, also where it is
// damaged before the passphrase could be tried.
func TestDamagedKeystoreTakesItsTime(t *testing.T) {
	phrase := halo.PassphraseProtector([]byte("correct horse"), halo.Argon{})
	file, err := halo.SealKeystore(newKeystore(t), phrase)
	check(t, err)
	var least time.Duration
	try := func(file []byte) time.Duration {
		t.Helper()
		begun := time.Now()
		if _, err := halo.OpenKeystore(file, halo.PassphraseProtector([]byte("wrong"), halo.Argon{})); err != halo.ErrKeystore {
			t.Errorf("got %v, want exactly ErrKeystore", err)
		}
		return time.Since(begun)
	}
	least = try(file) / 20 // busy machines are slow, never fast
	for name, n := range map[string]int{"no header": 3, "half a header": 30, "no body": len(file) - 100} {
		if got := try(file[:n]); got < least {
			t.Errorf("%s: refused in %v, a passphrase is tried in %v", name, got, least*20)
		}
	}
}

func TestCalibrateChoosesByTheClock(t *testing.T) {
	const mib = 1 << 10
	for _, tc := range []struct {
		floor  time.Duration // of one try at the least cost
		memory uint32        // MiB that may be used
		want   halo.Argon
	}{
		{2 * time.Second, 1024, halo.DefaultArgon},
		{500 * time.Millisecond, 1024, halo.DefaultArgon},
		{300 * time.Millisecond, 1024, halo.Argon{Time: 3, Memory: 128 * mib, Threads: 4}},
		{100 * time.Millisecond, 1024, halo.Argon{Time: 3, Memory: 512 * mib, Threads: 4}},
		{100 * time.Millisecond, 150, halo.Argon{Time: 8, Memory: 128 * mib, Threads: 4}},
		{110 * time.Millisecond, 0, halo.Argon{Time: 14, Memory: 64 * mib, Threads: 4}},
		{time.Nanosecond, 1024, halo.Argon{Time: 20, Memory: 1024 * mib, Threads: 4}},
	} {
		t.Run(fmt.Sprint(tc.floor, tc.memory), func(t *testing.T) {
			got := halo.Calibrate(tc.memory*mib, func(halo.Argon) time.Duration { return tc.floor })
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestWipedKeysAreZero(t *testing.T) {
	k := newKeystore(t)
	key := k.Epochs[halo.SpaceID{}][0]
	k.Wipe()
	for name, b := range map[string][]byte{"store": k.Store.Bytes(), "entropy": k.Entropy.Bytes(), "epoch": key.Bytes()} {
		if !bytes.Equal(b, make([]byte, 32)) {
			t.Errorf("%s: got %x, want zeros", name, b)
		}
	}
}
