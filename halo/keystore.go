package halo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// The keystore file holds what a device keeps secret:
//
//	"EFSK1\n" || header || body
//	header = cbor { 1: protector, 2: ?[salt16, t, m, p], 3: ?nonce24, 4: ?wrapped KEK, 5: nonce24 }
//	body   = XChaCha20-Poly1305(HKDF(KEK, "ks-body"), cbor keys, AAD = magic || header)
//
// With a passphrase a random KEK is wrapped under argon2id of it; otherwise the
// KEK is what the keyring or the key file holds. Whoever has opened a keystore
// seals it again under the same KEK without deriving anything (UnlockKeystore);
// a new passphrase comes with a new KEK.

const (
	keystoreMagic   = "EFSK1\n"
	maxKeystoreSize = 16 << 20
	maxKeyHeader    = 256
	maxKeystoreList = 1 << 16 // spaces, keys of a space, tokens
)

// keystoreMode reads longer lists than other decoders do: nobody but the owner
// writes them.
var keystoreMode = mustDecMode(maxKeystoreList)

// ProtectorKind says where the key of a keystore comes from.
type ProtectorKind uint8

// The kinds of protectors.
const (
	ProtectPassphrase ProtectorKind = 1
	ProtectKeyring    ProtectorKind = 2 // the keyring of the operating system
	ProtectKeyfile    ProtectorKind = 3
)

// String returns the name in lower case.
func (k ProtectorKind) String() string {
	switch k {
	case ProtectPassphrase:
		return "passphrase"
	case ProtectKeyring:
		return "keyring"
	case ProtectKeyfile:
		return "keyfile"
	}
	return fmt.Sprintf("protector(%d)", uint8(k))
}

// Keystore is what a device keeps secret. It prints as "[secret]".
type Keystore struct {
	Identity IdentityID
	Device   *DeviceKeys
	Epochs   map[SpaceID][]EpochKey
	Store    Secret     // encrypts derived data at rest
	Entropy  Secret     // of the recovery phrase until it was shown; else zero
	Tokens   [][32]byte // hashes of the tokens of applications
	Meeting  Secret     // RootKeys.Meeting, where own devices are met with the phrase; zero where it is not known
}

// NewKeystore returns a keystore with fresh device and store keys.
func NewKeystore() (*Keystore, error) {
	device, err := GenerateDeviceKeys()
	if err != nil {
		return nil, fmt.Errorf("new keystore: %w", err)
	}
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("new keystore: %w", err)
	}
	store, err := NewSecret(b)
	return &Keystore{Device: device, Epochs: map[SpaceID][]EpochKey{}, Store: store}, err
}

// Format implements fmt.Formatter: every verb prints "[secret]".
func (Keystore) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Keystore) LogValue() slog.Value { return slog.StringValue(redacted) }

// Wipe overwrites the keys in memory, as far as they can be reached: the
// runtime and the keys' users may have copies. k must not be used any more.
func (k *Keystore) Wipe() {
	if k.Device != nil {
		k.Device.wipe()
	}
	for _, keys := range k.Epochs {
		for _, key := range keys {
			key.Wipe()
		}
	}
	k.Store.Wipe()
	k.Entropy.Wipe()
	k.Meeting.Wipe()
}

// ValueKey returns the key under which the values of a table are encrypted.
func (k *Keystore) ValueKey(table string) Secret {
	return deriveSecret(k.Store.Bytes(), "val", []byte(table))
}

// IndexKey returns the key of the MAC that hides the index keys of a table.
func (k *Keystore) IndexKey(table string) Secret {
	return deriveSecret(k.Store.Bytes(), "idx", []byte(table))
}

// EpochKey returns the key of an epoch.
func (k *Keystore) EpochKey(space SpaceID, epoch EpochID) (EpochKey, bool) {
	for _, key := range k.Epochs[space] {
		if key.ID(space) == epoch {
			return key, true
		}
	}
	return EpochKey{}, false
}

// AddEpochKey keeps the key of an epoch and reports whether it is new.
func (k *Keystore) AddEpochKey(space SpaceID, key EpochKey) bool {
	if _, have := k.EpochKey(space, key.ID(space)); have {
		return false
	}
	if k.Epochs == nil {
		k.Epochs = map[SpaceID][]EpochKey{}
	}
	k.Epochs[space] = append(k.Epochs[space], key)
	return true
}

type keystoreHeader struct {
	Protector ProtectorKind `cbor:"1,keyasint"`
	Argon     *argonWire    `cbor:"2,keyasint,omitempty"`
	WrapNonce []byte        `cbor:"3,keyasint,omitempty"`
	Wrapped   []byte        `cbor:"4,keyasint,omitempty"`
	Nonce     [24]byte      `cbor:"5,keyasint"`
}

type argonWire struct {
	_       struct{} `cbor:",toarray"`
	Salt    [16]byte
	Time    uint32
	Memory  uint32
	Threads uint8
}

type keystoreBody struct {
	Identity IdentityID     `cbor:"1,keyasint"`
	Device   deviceKeysWire `cbor:"2,keyasint"`
	Spaces   []spaceKeys    `cbor:"3,keyasint"`
	Store    [32]byte       `cbor:"4,keyasint"`
	Entropy  *[32]byte      `cbor:"5,keyasint,omitempty"`
	Tokens   [][32]byte     `cbor:"6,keyasint"`
	Meeting  *[32]byte      `cbor:"7,keyasint,omitempty"`
}

type spaceKeys struct {
	_     struct{} `cbor:",toarray"`
	Space SpaceID
	Keys  [][32]byte // in the order in which they came
}

// SealKeystore returns the keystore as it is written to a file. Every call
// uses fresh nonces; with PassphraseProtector also a fresh KEK.
func SealKeystore(k *Keystore, p Protector) ([]byte, error) {
	body, err := k.encode()
	if err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	defer clear(body)
	h := keystoreHeader{Protector: p.kind}
	if _, err := rand.Read(h.Nonce[:]); err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	kek, err := p.newKEK(&h)
	if err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	head, err := encode(h)
	if err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	aead, err := chacha20poly1305.NewX(derive(kek.Bytes(), "ks-body", 32))
	if err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	out := append([]byte(keystoreMagic), head...)
	return aead.Seal(out, h.Nonce[:], body, bytes.Clone(out)), nil
}

// OpenKeystore reads a keystore. Whatever is wrong, the key, the passphrase or
// the file, it fails with ErrKeystore and says no more; with a passphrase it
// takes the time of a try in any case.
func OpenKeystore(file []byte, p Protector) (*Keystore, error) {
	k, _, err := UnlockKeystore(file, p)
	return k, err
}

// UnlockKeystore is OpenKeystore, and returns what seals the keystore again
// under the same KEK: a protector that holds no passphrase.
func UnlockKeystore(file []byte, p Protector) (*Keystore, Protector, error) {
	h, head, sealed, err := splitKeystore(file)
	if err != nil || h.Protector != p.kind {
		p.waste()
		return nil, Protector{}, ErrKeystore
	}
	kek, err := p.findKEK(h)
	if err != nil {
		return nil, Protector{}, ErrKeystore
	}
	aead, err := chacha20poly1305.NewX(derive(kek.Bytes(), "ks-body", 32))
	if err != nil {
		return nil, Protector{}, ErrKeystore
	}
	body, err := aead.Open(nil, h.Nonce[:], sealed, head)
	if err != nil {
		return nil, Protector{}, ErrKeystore
	}
	defer clear(body)
	k, err := decodeKeystore(body)
	if err != nil {
		return nil, Protector{}, ErrKeystore
	}
	return k, p.opened(h, kek), nil
}

// KeystoreKind returns where the key of a keystore comes from, which anybody
// can read and change. It fails with ErrKeystore.
func KeystoreKind(file []byte) (ProtectorKind, error) {
	h, _, _, err := splitKeystore(file)
	if err != nil {
		return 0, ErrKeystore
	}
	return h.Protector, nil
}

// splitKeystore returns the parts of a file; head includes the magic.
func splitKeystore(file []byte) (h keystoreHeader, head, sealed []byte, err error) {
	if len(file) > maxKeystoreSize || !bytes.HasPrefix(file, []byte(keystoreMagic)) {
		return h, nil, nil, ErrKeystore
	}
	rest, err := decMode.UnmarshalFirst(file[len(keystoreMagic):], new(keystoreHeader))
	if err != nil {
		return h, nil, nil, ErrKeystore
	}
	n := len(file) - len(rest)
	if err := decode(file[len(keystoreMagic):n], &h, maxKeyHeader); err != nil {
		return h, nil, nil, ErrKeystore
	}
	return h, file[:n], rest, h.check()
}

func (h *keystoreHeader) check() error {
	passphrase := h.Protector == ProtectPassphrase
	if h.Protector < ProtectPassphrase || h.Protector > ProtectKeyfile || passphrase != (h.Argon != nil) {
		return ErrKeystore
	}
	if !passphrase && (h.WrapNonce != nil || h.Wrapped != nil) {
		return ErrKeystore
	}
	if passphrase && (len(h.WrapNonce) != nonceSize || len(h.Wrapped) != 32+aeadOverhead) {
		return ErrKeystore
	}
	return nil
}

func (k *Keystore) encode() ([]byte, error) {
	if k.Device == nil || k.Store.IsZero() {
		return nil, malformed("keystore without device or store key")
	}
	device, err := k.Device.wire()
	if err != nil {
		return nil, err
	}
	w := keystoreBody{Identity: k.Identity, Device: device, Store: [32]byte(k.Store.Bytes()), Tokens: k.Tokens}
	if !k.Entropy.IsZero() {
		w.Entropy = (*[32]byte)(k.Entropy.Bytes())
	}
	if !k.Meeting.IsZero() {
		w.Meeting = (*[32]byte)(k.Meeting.Bytes())
	}
	for space, keys := range k.Epochs {
		if len(keys) > maxKeystoreList {
			return nil, fmt.Errorf("keystore with %d keys of a space: %w", len(keys), ErrFull)
		}
		s := spaceKeys{Space: space}
		for _, key := range keys {
			if key.IsZero() {
				return nil, malformed("keystore with an epoch that has no key")
			}
			s.Keys = append(s.Keys, [32]byte(key.Bytes()))
		}
		w.Spaces = append(w.Spaces, s)
	}
	if len(w.Spaces) > maxKeystoreList || len(w.Tokens) > maxKeystoreList {
		return nil, fmt.Errorf("keystore of %d spaces and %d tokens: %w", len(w.Spaces), len(w.Tokens), ErrFull)
	}
	slices.SortFunc(w.Spaces, func(a, b spaceKeys) int { return bytes.Compare(a.Space[:], b.Space[:]) })
	return encode(w)
}

func decodeKeystore(body []byte) (*Keystore, error) {
	var w keystoreBody
	if err := decodeWith(keystoreMode, body, &w, maxKeystoreSize); err != nil {
		return nil, err
	}
	device, err := w.Device.keys()
	if err != nil {
		return nil, err
	}
	if !sortedBy(w.Spaces, func(s spaceKeys) []byte { return s.Space[:] }) {
		return nil, malformed("keystore: spaces are not sorted")
	}
	k := &Keystore{Identity: w.Identity, Device: device, Tokens: w.Tokens, Epochs: map[SpaceID][]EpochKey{}}
	if k.Store, err = NewSecret(w.Store[:]); err != nil {
		return nil, err
	}
	if w.Entropy != nil {
		if k.Entropy, err = NewSecret(w.Entropy[:]); err != nil {
			return nil, err
		}
	}
	if w.Meeting != nil {
		if k.Meeting, err = NewSecret(w.Meeting[:]); err != nil {
			return nil, err
		}
	}
	for _, s := range w.Spaces {
		for _, b := range s.Keys {
			key, err := EpochKeyFromBytes(b[:])
			if err != nil {
				return nil, err
			}
			k.Epochs[s.Space] = append(k.Epochs[s.Space], key)
		}
	}
	return k, nil
}
