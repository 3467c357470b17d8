package halo_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"echofs/halo"
)

func newKeystore(tb testing.TB) *halo.Keystore {
	tb.Helper()
	k, err := halo.NewKeystore()
	check(tb, err)
	k.Identity = halo.IdentityID{5}
	_, k.Entropy, err = halo.NewPhrase()
	check(tb, err)
	for i := range 3 {
		key, err := halo.NewEpochKey()
		check(tb, err)
		if !k.AddEpochKey(halo.SpaceID{byte(i % 2)}, key) || k.AddEpochKey(halo.SpaceID{byte(i % 2)}, key) {
			tb.Error("AddEpochKey: wrong about what is new")
		}
	}
	k.Tokens = [][32]byte{{1}, {2}}
	return k
}

func keyfile(tb testing.TB, b byte) halo.Protector {
	tb.Helper()
	kek, err := halo.NewSecret(bytes.Repeat([]byte{b}, 32))
	check(tb, err)
	return halo.KeyProtector(halo.ProtectKeyfile, kek)
}

func TestKeystoreGoesThroughBytes(t *testing.T) {
	want := newKeystore(t)
	protectors := map[halo.ProtectorKind]halo.Protector{
		halo.ProtectKeyfile:    keyfile(t, 1),
		halo.ProtectPassphrase: halo.PassphraseProtector([]byte("correct horse"), halo.Argon{}),
	}
	for kind, p := range protectors {
		file, err := halo.SealKeystore(want, p)
		check(t, err)
		if got, err := halo.KeystoreKind(file); err != nil || got != kind {
			t.Errorf("KeystoreKind: got %v, %v, want %v", got, err, kind)
		}
		got, err := halo.OpenKeystore(file, p)
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		if got.Identity != want.Identity || got.Device.ID() != want.Device.ID() || !got.Store.Equal(want.Store) ||
			!got.Entropy.Equal(want.Entropy) || len(got.Tokens) != 2 || got.Tokens[1] != want.Tokens[1] {
			t.Errorf("%v: another keystore", kind)
		}
		for space, keys := range want.Epochs {
			for _, key := range keys {
				if have, ok := got.EpochKey(space, key.ID(space)); !ok || !have.Equal(key.Secret) {
					t.Errorf("%v: an epoch key is missing", kind)
				}
			}
		}
		if !got.ValueKey("a").Equal(want.ValueKey("a")) || got.ValueKey("a").Equal(got.IndexKey("a")) {
			t.Error("the keys of the store are others, or the same")
		}
	}
}

func TestKeystoreRefusesAllInOneWay(t *testing.T) {
	k := newKeystore(t)
	p := keyfile(t, 1)
	file, err := halo.SealKeystore(k, p)
	check(t, err)
	refused := func(name string, file []byte, p halo.Protector) {
		t.Helper()
		if _, err := halo.OpenKeystore(file, p); err != halo.ErrKeystore {
			t.Errorf("%s: got %v, want exactly ErrKeystore", name, err)
		}
	}
	refused("another key", file, keyfile(t, 2))
	refused("a passphrase instead", file, halo.PassphraseProtector([]byte("x"), halo.Argon{}))
	refused("no key", file, halo.Protector{})
	refused("nothing", nil, p)
	for i := range file {
		changed := bytes.Clone(file)
		changed[i] ^= 0x10
		refused("a changed byte", changed, p)
	}
	for _, n := range []int{1, 6, 7, 30, len(file) - 1} {
		refused("a part", file[:n], p)
	}
	refused("something after", append(bytes.Clone(file), 0), p)
}

// TestKeystoreBoundsThePassphrase: a hostile file must not make the reader
// spend 100 GiB, or a week.
func TestKeystoreBoundsThePassphrase(t *testing.T) {
	p := halo.PassphraseProtector([]byte("correct horse"), halo.Argon{})
	file, err := halo.SealKeystore(newKeystore(t), p)
	check(t, err)
	at := bytes.Index(file, []byte{0x1a, 0, 1, 0, 0}) // 65,536 KiB
	if at < 0 {
		t.Fatal("the memory cost is not where the test expects it")
	}
	for _, kib := range []uint32{100 << 20, 1<<32 - 1, 2<<20 + 1} {
		hostile := bytes.Clone(file)
		binary.BigEndian.PutUint32(hostile[at+1:], kib)
		if _, err := halo.OpenKeystore(hostile, p); !errors.Is(err, halo.ErrKeystore) {
			t.Errorf("%d KiB: got %v, want ErrKeystore", kib, err)
		}
	}
	if _, err := halo.OpenKeystore(file, halo.PassphraseProtector([]byte("wrong"), halo.Argon{})); err != halo.ErrKeystore {
		t.Errorf("a wrong passphrase: got %v, want exactly ErrKeystore", err)
	}
}

func TestKeystoreShowsNothing(t *testing.T) {
	k := newKeystore(t)
	file, err := halo.SealKeystore(k, keyfile(t, 1))
	check(t, err)
	device, err := k.Device.Encode()
	check(t, err)
	id := k.Device.ID()
	for _, marker := range [][]byte{k.Store.Bytes(), k.Entropy.Bytes(), device[4:20], id[:], k.Epochs[halo.SpaceID{}][0].Bytes()} {
		if bytes.Contains(file, marker) {
			t.Errorf("the file contains %x", marker)
		}
	}
	again, err := halo.SealKeystore(k, keyfile(t, 1))
	check(t, err)
	if bytes.Equal(file, again) {
		t.Error("two files are the same: a nonce is used twice")
	}
	if _, err := halo.SealKeystore(&halo.Keystore{}, keyfile(t, 1)); !errors.Is(err, halo.ErrMalformed) {
		t.Errorf("an empty keystore: got %v, want ErrMalformed", err)
	}
}
