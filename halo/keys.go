package halo

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"

	"filippo.io/edwards25519"

	"echofs/halo/bip39"
)

// kemPublicSize is the size of an encoded MLKEM768X25519 public key.
const kemPublicSize = 1216

// Suite numbers the KEM of a wrapped key, so that it can change.
type Suite uint8

// The suites. Number 1 is reserved for X25519 alone and not accepted.
const SuiteMLKEM768X25519 Suite = 0

func newKEM() hpke.KEM { return hpke.MLKEM768X25519() }

// DevicePublic is the public part of a device's keys.
type DevicePublic struct {
	Sign  [32]byte `cbor:"1,keyasint"` // Ed25519
	Noise [32]byte `cbor:"2,keyasint"` // X25519
	KEM   []byte   `cbor:"3,keyasint"` // MLKEM768X25519, 1216 bytes
}

// ID returns the id of the device with these keys.
func (p DevicePublic) ID() DeviceID {
	kem := sha256.Sum256(p.KEM)
	return DeviceID(hashOf("device", p.Sign[:], p.Noise[:], kem[:]))
}

// Check fails with ErrBadKey unless each key can be used safely: a point of
// small order would accept a signature for any message, or agree on a secret
// that everybody knows.
func (p DevicePublic) Check() error {
	if err := CheckSignKey(p.Sign[:]); err != nil {
		return err
	}
	if err := checkNoiseKey(p.Noise[:]); err != nil {
		return err
	}
	return checkKEMKey(p.KEM)
}

// CheckSignKey fails with ErrBadKey unless key is the canonical encoding of an
// Ed25519 point that is not of small order.
func CheckSignKey(key []byte) error {
	point, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		return fmt.Errorf("signature key: no point: %w", ErrBadKey)
	}
	if !bytes.Equal(point.Bytes(), key) {
		return fmt.Errorf("signature key: not canonical: %w", ErrBadKey)
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return fmt.Errorf("signature key: small order: %w", ErrBadKey)
	}
	return nil
}

// probe is a private key that only tests public keys: crypto/ecdh refuses an
// agreement whose result is zero, which is what a point of small order gives.
var probe = mustProbe()

func mustProbe() *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{0x42}, 32))
	if err != nil {
		panic("halo: probe key: " + err.Error()) // a constant
	}
	return key
}

func checkNoiseKey(key []byte) error {
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return fmt.Errorf("session key: %w", ErrBadKey)
	}
	if _, err := probe.ECDH(public); err != nil {
		return fmt.Errorf("session key: small order: %w", ErrBadKey)
	}
	if !canonicalX25519(key) {
		return fmt.Errorf("session key: not canonical: %w", ErrBadKey)
	}
	return nil
}

// canonicalX25519 reports whether the little-endian number is less than
// 2^255 - 19.
func canonicalX25519(key []byte) bool {
	if key[31] != 0x7f {
		return key[31] < 0x7f
	}
	for _, b := range key[1:31] {
		if b != 0xff {
			return true
		}
	}
	return key[0] < 0xed
}

func checkKEMKey(key []byte) error {
	if len(key) != kemPublicSize {
		return fmt.Errorf("receiving key: %d bytes: %w", len(key), ErrBadKey)
	}
	if _, err := newKEM().NewPublicKey(key); err != nil {
		return fmt.Errorf("receiving key: %w", ErrBadKey)
	}
	return checkNoiseKey(key[kemPublicSize-32:])
}

// Signer signs in the name of a device. DeviceKeys is one; another may keep
// its key elsewhere.
type Signer interface {
	// Public returns the device's public keys.
	Public() DevicePublic
	// Sign returns the Ed25519 signature of msg, 64 bytes.
	Sign(msg []byte) []byte
}

// DeviceKeys are the private keys of a device. They print as "[secret]".
type DeviceKeys struct {
	private hidden[devicePrivate]
	public  DevicePublic
}

type devicePrivate struct {
	sign  ed25519.PrivateKey
	noise *ecdh.PrivateKey
	kem   hpke.PrivateKey
}

var _ Signer = (*DeviceKeys)(nil)

// GenerateDeviceKeys returns fresh random keys.
func GenerateDeviceKeys() (*DeviceKeys, error) {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signature key: %w", err)
	}
	noise, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate session key: %w", err)
	}
	kem, err := newKEM().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate receiving key: %w", err)
	}
	return newDeviceKeys(sign, noise, kem), nil
}

func newDeviceKeys(sign ed25519.PrivateKey, noise *ecdh.PrivateKey, kem hpke.PrivateKey) *DeviceKeys {
	k := &DeviceKeys{private: hide(devicePrivate{sign, noise, kem})}
	copy(k.public.Sign[:], sign.Public().(ed25519.PublicKey))
	copy(k.public.Noise[:], noise.PublicKey().Bytes())
	k.public.KEM = kem.PublicKey().Bytes()
	return k
}

// Public returns the public keys. Its KEM must not be changed.
func (k *DeviceKeys) Public() DevicePublic { return k.public }

// ID returns the id of the device.
func (k *DeviceKeys) ID() DeviceID { return k.public.ID() }

// Sign returns the Ed25519 signature of msg, which must begin with a label.
func (k *DeviceKeys) Sign(msg []byte) []byte { return ed25519.Sign(k.private.reveal().sign, msg) }

// NoiseKey returns the private X25519 key, the static key of sessions.
func (k *DeviceKeys) NoiseKey() []byte { return k.private.reveal().noise.Bytes() }

// wipe overwrites the signature key. The other two are copies inside of the
// standard library, out of reach.
func (k *DeviceKeys) wipe() { clear(k.private.reveal().sign) }

// Format implements fmt.Formatter: every verb prints "[secret]".
func (DeviceKeys) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (DeviceKeys) LogValue() slog.Value { return slog.StringValue(redacted) }

// deviceKeysWire is how DeviceKeys are kept.
type deviceKeysWire struct {
	Sign  [32]byte `cbor:"1,keyasint"` // Ed25519 seed
	Noise [32]byte `cbor:"2,keyasint"` // X25519 scalar
	KEM   []byte   `cbor:"3,keyasint"` // as SerializePrivateKey of RFC 9180
}

func (k *DeviceKeys) wire() (deviceKeysWire, error) {
	private := k.private.reveal()
	kem, err := private.kem.Bytes()
	if err != nil {
		return deviceKeysWire{}, fmt.Errorf("encode receiving key: %w", err)
	}
	w := deviceKeysWire{KEM: kem}
	copy(w.Sign[:], private.sign.Seed())
	copy(w.Noise[:], private.noise.Bytes())
	return w, nil
}

func (w deviceKeysWire) keys() (*DeviceKeys, error) {
	noise, err := ecdh.X25519().NewPrivateKey(w.Noise[:])
	if err != nil {
		return nil, fmt.Errorf("session key: %w", ErrBadKey)
	}
	kem, err := newKEM().NewPrivateKey(w.KEM)
	if err != nil {
		return nil, fmt.Errorf("receiving key: %w", ErrBadKey)
	}
	return newDeviceKeys(ed25519.NewKeyFromSeed(w.Sign[:]), noise, kem), nil
}

// Encode returns the private keys as they are kept: a secret of its own.
func (k *DeviceKeys) Encode() ([]byte, error) {
	w, err := k.wire()
	if err != nil {
		return nil, err
	}
	return encode(w)
}

// DecodeDeviceKeys reads what Encode wrote. It fails with ErrMalformed or
// ErrBadKey.
func DecodeDeviceKeys(b []byte) (*DeviceKeys, error) {
	var w deviceKeysWire
	if err := decode(b, &w, 4096); err != nil {
		return nil, err
	}
	return w.keys()
}

// RootKeys are the keys of an identity that come from its phrase. They are
// made when the phrase is at hand and dropped at once. They print as
// "[secret]".
type RootKeys struct{ private hidden[rootPrivate] }

type rootPrivate struct {
	sign    ed25519.PrivateKey
	kem     hpke.PrivateKey
	meeting Secret
}

// RootPublic is the public part of RootKeys.
type RootPublic struct {
	Sign [32]byte `cbor:"1,keyasint"` // Ed25519
	KEM  []byte   `cbor:"2,keyasint"` // MLKEM768X25519
}

// Check fails with ErrBadKey unless each key can be used safely.
func (p RootPublic) Check() error {
	if err := CheckSignKey(p.Sign[:]); err != nil {
		return err
	}
	return checkKEMKey(p.KEM)
}

// NewPhrase returns a new phrase of 24 English words and its entropy.
func NewPhrase() (phrase string, entropy Secret, err error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", Secret{}, fmt.Errorf("read random bytes: %w", err)
	}
	if phrase, err = bip39.Encode(b); err != nil {
		return "", Secret{}, err
	}
	entropy, err = NewSecret(b)
	return phrase, entropy, err
}

// RootKeysFromPhrase returns the keys that belong to a phrase of 24 words and
// an optional passphrase. It fails if a word is not in the list or the
// checksum is wrong.
func RootKeysFromPhrase(phrase, passphrase string) (*RootKeys, error) {
	entropy, err := bip39.Decode(phrase)
	if err != nil {
		return nil, err
	}
	if len(entropy) != 32 {
		return nil, malformed("phrase of %d bits, want 256", len(entropy)*8)
	}
	canonical, err := bip39.Encode(entropy)
	if err != nil {
		return nil, err
	}
	seed, err := bip39.Seed(canonical, passphrase)
	if err != nil {
		return nil, err
	}
	return rootKeysFromSeed(seed)
}

func rootKeysFromSeed(seed []byte) (*RootKeys, error) {
	kem, err := newKEM().DeriveKeyPair(derive(seed, "root-kem", 32))
	if err != nil {
		return nil, fmt.Errorf("derive recovery key: %w", err)
	}
	return &RootKeys{hide(rootPrivate{
		sign:    ed25519.NewKeyFromSeed(derive(seed, "root-sign", 32)),
		kem:     kem,
		meeting: deriveSecret(seed, "recovery-topic"),
	})}, nil
}

// Public returns the public keys.
func (k *RootKeys) Public() RootPublic {
	private := k.private.reveal()
	p := RootPublic{KEM: private.kem.PublicKey().Bytes()}
	copy(p.Sign[:], private.sign.Public().(ed25519.PublicKey))
	return p
}

// Sign returns the Ed25519 signature of msg, which must begin with a label.
func (k *RootKeys) Sign(msg []byte) []byte { return ed25519.Sign(k.private.reveal().sign, msg) }

// Meeting returns the secret by which the identity's own devices can be met with
// the phrase alone. They keep it; it gives no authority.
func (k *RootKeys) Meeting() Secret { return k.private.reveal().meeting }

// Format implements fmt.Formatter: every verb prints "[secret]".
func (RootKeys) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (RootKeys) LogValue() slog.Value { return slog.StringValue(redacted) }
