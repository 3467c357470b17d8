package halo

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// The key schedule. Everything is HKDF-SHA256 without salt and with the info
// "echofs/v1/" || label || 0x00 || context, 32 bytes unless stated:
//
//	secret        label           context   gives
//	epoch key     epoch-id        space     the epoch's id, public
//	epoch key     payload         feed      key of entry payloads
//	epoch key     sealed          space     key of labels and profiles
//	epoch key     blob            space     key of blob keys
//	epoch key     back            -         key that wraps older epoch keys
//	epoch key     swarm           space     swarm secret
//	blobs' key    blob-key        blob id   key of one blob
//	swarm secret  topic           day       where members meet, 20 bytes
//	swarm secret  signal          topic     key of sealed signaling
//	swarm secret  noise-psk       -         pre-shared key of sessions
//	code secret   invite-topic    -         where host and guest meet, 20 bytes
//	code secret   invite-id       -         name of the invitation, 8 bytes
//	code secret   signal          -         key of sealed signaling
//	code secret   noise-psk       -         pre-shared key of the session
//	link secret   link-id         -         name of the link, 16 bytes
//	link secret   invite-sign     -         seed of the key of claims
//	link secret   link-meet       -         meeting secret
//	meeting secret topic, signal, noise-psk  as of a code
//	space id      link-space      -         mark of the space in a link, 16 bytes
//	handshake     auth-code       -         key of the proof of the digits
//	handshake     sas             -         pictures to compare, 4 bytes
//	seed          root-sign       -         root signature key
//	seed          root-kem        -         root receiving key
//	seed          recovery-topic  -         secret by which own devices are met
//	that secret   topic, signal, noise-psk  as of a swarm secret
//	KEK           ks-body         -         key of the keystore's body
//	store key     val             table     value encryption
//	store key     idx             table     index MAC
const (
	aeadOverhead = chacha20poly1305.Overhead
	nonceSize    = chacha20poly1305.NonceSizeX
	kemEncSize   = 1120 // encapsulated key of MLKEM768X25519
	backSize     = nonceSize + 32 + aeadOverhead
)

// EpochKey is the key of an epoch: whoever has it reads what was written in
// the epoch, and in those before it.
type EpochKey struct{ Secret }

// NewEpochKey returns a fresh random key.
func NewEpochKey() (EpochKey, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return EpochKey{}, fmt.Errorf("new epoch key: %w", err)
	}
	return EpochKeyFromBytes(b)
}

// EpochKeyFromBytes returns the key with these 32 bytes.
func EpochKeyFromBytes(b []byte) (EpochKey, error) {
	s, err := NewSecret(b)
	return EpochKey{s}, err
}

// ID returns the id of the epoch that has this key in a space. It commits to
// the key: there is no other key with the same id.
func (k EpochKey) ID(space SpaceID) EpochID {
	return EpochID(derive(k.Bytes(), "epoch-id", 32, space[:]))
}

// PayloadKey returns the key of the entries of a feed.
func (k EpochKey) PayloadKey(feed FeedID) Secret {
	return deriveSecret(k.Bytes(), "payload", feed[:])
}

// BlobKey returns the key of one blob.
func (k EpochKey) BlobKey(space SpaceID, blob [32]byte) Secret {
	return deriveSecret(derive(k.Bytes(), "blob", 32, space[:]), "blob-key", blob[:])
}

// Swarm returns the secret by which members find each other.
func (k EpochKey) Swarm(space SpaceID) SwarmSecret {
	return SwarmSecret{deriveSecret(k.Bytes(), "swarm", space[:])}
}

func (k EpochKey) backKey() []byte { return derive(k.Bytes(), "back", 32) }

// SwarmSecret lets its holder meet the members of a space, and read nothing.
// It is all that a relay gets.
type SwarmSecret struct{ Secret }

// Topic is where peers meet at a signaling server: random to everybody else.
type Topic [20]byte

// String returns the topic in hexadecimal.
func (t Topic) String() string { return fmt.Sprintf("%x", t[:]) }

// UnixDay returns the number of the day since 1970, in UTC.
func UnixDay(t time.Time) uint64 { return unix(t) / 86400 }

// Topic returns the topic of a day.
func (s SwarmSecret) Topic(day uint64) Topic {
	return Topic(derive(s.Bytes(), "topic", len(Topic{}), binary.BigEndian.AppendUint64(nil, day)))
}

// SignalKey returns the key of sealed signaling on a topic.
func (s SwarmSecret) SignalKey(t Topic) Secret { return deriveSecret(s.Bytes(), "signal", t[:]) }

// NoisePSK returns the pre-shared key of sessions.
func (s SwarmSecret) NoisePSK() Secret { return deriveSecret(s.Bytes(), "noise-psk") }

// sealX encrypts under a random nonce, which stands first.
func sealX(key, plain, aad []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := make([]byte, nonceSize, nonceSize+len(plain)+aeadOverhead)
	if _, err := rand.Read(out); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead.Seal(out, out, plain, aad), nil
}

// openX is the inverse of sealX. It fails with ErrDecrypt.
func openX(key, sealed, aad []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil || len(sealed) < nonceSize {
		return nil, ErrDecrypt
	}
	plain, err := aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], aad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// sealedLabel is a label with the epoch whose key opens it.
type sealedLabel struct {
	_      struct{} `cbor:",toarray"`
	Epoch  EpochID
	Sealed []byte
}

// labelBlock is the size in steps of which labels are padded.
const labelBlock = 32

// SealLabel encrypts a short text for a credential: a name or a reason. what
// says which, so that one cannot be passed off as another.
func (k EpochKey) SealLabel(space SpaceID, what, text string) ([]byte, error) {
	if len(text) > maxSealed/2 {
		return nil, fmt.Errorf("seal %s of %d bytes: %w", what, len(text), ErrTooLarge)
	}
	plain := append([]byte(text), 0x80)
	plain = append(plain, make([]byte, -len(plain)&(labelBlock-1))...)
	sealed, err := sealX(derive(k.Bytes(), "sealed", 32, space[:]), plain, labelled("label", []byte(what)))
	if err != nil {
		return nil, err
	}
	return encode(sealedLabel{Epoch: k.ID(space), Sealed: sealed})
}

// LabelEpoch returns the epoch whose key opens a sealed label. It fails with
// ErrMalformed.
func LabelEpoch(sealed []byte) (EpochID, error) {
	var l sealedLabel
	err := decode(sealed, &l, maxSealed)
	return l.Epoch, err
}

// OpenLabel is the inverse of SealLabel. It fails with ErrDecrypt or
// ErrMalformed. The text is whatever its author wrote: escape it before it
// reaches a terminal or a file name.
func (k EpochKey) OpenLabel(space SpaceID, what string, sealed []byte) (string, error) {
	var l sealedLabel
	if err := decode(sealed, &l, maxSealed); err != nil {
		return "", fmt.Errorf("open %s: %w", what, err)
	}
	plain, err := openX(derive(k.Bytes(), "sealed", 32, space[:]), l.Sealed, labelled("label", []byte(what)))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", what, err)
	}
	plain = bytes.TrimRight(plain, "\x00")
	if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
		return "", malformed("open %s: padding", what)
	}
	return string(plain[:len(plain)-1]), nil
}

// wrapInfo binds a wrapped secret to its place.
func wrapInfo(space SpaceID, epoch EpochID, device DeviceID, swarm bool) []byte {
	name := "epoch-wrap"
	if swarm {
		name = "swarm-wrap"
	}
	return labelled(name, space[:], epoch[:], device[:])
}

// wrapFor seals the key of an epoch to a device, or its swarm secret.
func wrapFor(to DevicePublic, space SpaceID, epoch EpochID, key EpochKey, swarm bool) (WrappedKey, error) {
	device, secret := to.ID(), key.Bytes()
	if swarm {
		secret = key.Swarm(space).Bytes()
	}
	public, err := newKEM().NewPublicKey(to.KEM)
	if err != nil {
		return WrappedKey{}, fmt.Errorf("wrap key for %s: %w", device.Short(), ErrBadKey)
	}
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), wrapInfo(space, epoch, device, swarm))
	if err != nil {
		return WrappedKey{}, fmt.Errorf("wrap key for %s: %w", device.Short(), err)
	}
	sealed, err := sender.Seal(nil, secret)
	if err != nil {
		return WrappedKey{}, fmt.Errorf("wrap key for %s: %w", device.Short(), err)
	}
	return WrappedKey{Device: device, Enc: enc, Sealed: sealed}, nil
}

// unwrap opens a wrapped secret.
func (k *DeviceKeys) unwrap(space SpaceID, w Wrap) (Secret, error) {
	if w.Suite != SuiteMLKEM768X25519 || w.Key.Device != k.ID() {
		return Secret{}, fmt.Errorf("unwrap key of epoch %s: not for this device: %w", w.Epoch.Short(), ErrDecrypt)
	}
	info := wrapInfo(space, w.Epoch, w.Key.Device, w.Swarm)
	recipient, err := hpke.NewRecipient(w.Key.Enc, k.private.reveal().kem, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info)
	if err != nil {
		return Secret{}, fmt.Errorf("unwrap key of epoch %s: %w", w.Epoch.Short(), ErrDecrypt)
	}
	plain, err := recipient.Open(nil, w.Key.Sealed)
	if err != nil {
		return Secret{}, fmt.Errorf("unwrap key of epoch %s: %w", w.Epoch.Short(), ErrDecrypt)
	}
	return NewSecret(plain)
}

// UnwrapEpoch returns the epoch key that was wrapped to the device. It fails
// with ErrDecrypt where the wrap is for another device, damaged, or holds
// another key than that of the epoch.
func (k *DeviceKeys) UnwrapEpoch(space SpaceID, w Wrap) (EpochKey, error) {
	if w.Swarm {
		return EpochKey{}, fmt.Errorf("unwrap epoch %s: a swarm secret: %w", w.Epoch.Short(), ErrDecrypt)
	}
	s, err := k.unwrap(space, w)
	if err != nil {
		return EpochKey{}, err
	}
	if key := (EpochKey{s}); key.ID(space) == w.Epoch {
		return key, nil
	}
	return EpochKey{}, fmt.Errorf("unwrap epoch %s: another key: %w", w.Epoch.Short(), ErrDecrypt)
}

// UnwrapSwarm returns the swarm secret that was wrapped to a relay. That it is
// the right one shows only when peers are met.
func (k *DeviceKeys) UnwrapSwarm(space SpaceID, w Wrap) (SwarmSecret, error) {
	if !w.Swarm {
		return SwarmSecret{}, fmt.Errorf("unwrap epoch %s: no swarm secret: %w", w.Epoch.Short(), ErrDecrypt)
	}
	s, err := k.unwrap(space, w)
	return SwarmSecret{s}, err
}

func backAAD(space SpaceID, epoch EpochID) []byte { return labelled("back", space[:], epoch[:]) }

// wrapBack seals the key of an older epoch under k.
func (k EpochKey) wrapBack(space SpaceID, older EpochKey) (BackKey, error) {
	epoch := older.ID(space)
	sealed, err := sealX(k.backKey(), older.Bytes(), backAAD(space, epoch))
	return BackKey{Epoch: epoch, Sealed: sealed}, err
}

// OpenBack returns the key of an older epoch. It fails with ErrDecrypt.
func (k EpochKey) OpenBack(space SpaceID, b BackKey) (EpochKey, error) {
	plain, err := openX(k.backKey(), b.Sealed, backAAD(space, b.Epoch))
	if err != nil {
		return EpochKey{}, fmt.Errorf("open key of epoch %s: %w", b.Epoch.Short(), err)
	}
	older, err := EpochKeyFromBytes(plain)
	if err != nil || older.ID(space) != b.Epoch {
		return EpochKey{}, fmt.Errorf("open key of epoch %s: another key: %w", b.Epoch.Short(), ErrDecrypt)
	}
	return older, nil
}

// EpochKeys returns all epoch keys that the device can open by what s says:
// those wrapped to it, those in known, and those which any of them opens. Wraps
// that open to nothing are passed over; compare with s.Epochs to see what is
// missing.
func (k *DeviceKeys) EpochKeys(s *State, known map[EpochID]EpochKey) map[EpochID]EpochKey {
	keys := make(map[EpochID]EpochKey, len(known))
	for id, key := range known {
		keys[id] = key
	}
	for _, w := range s.Wraps(k.ID()) {
		if _, have := keys[w.Epoch]; have || w.Swarm {
			continue
		}
		if key, err := k.UnwrapEpoch(s.Space(), w); err == nil {
			keys[w.Epoch] = key
		}
	}
	for _, e := range slices.Backward(s.keyEpochs) { // newest generation first
		key, have := keys[e.ID]
		if !have {
			continue
		}
		for _, b := range e.rotate.Back {
			if _, have := keys[b.Epoch]; have {
				continue
			}
			if older, err := key.OpenBack(s.Space(), b); err == nil {
				keys[b.Epoch] = older
			}
		}
	}
	return keys
}

// newRotate returns the beginning of an epoch after those that are latest in
// view.
func newRotate(view *State, fresh EpochKey, why RotateWhy, key func(EpochID) (EpochKey, bool)) (*EpochRotate, error) {
	space := view.Space()
	p := &EpochRotate{Gen: 1, Epoch: fresh.ID(space), Why: why}
	latest := view.LatestEpochs()
	slices.SortFunc(latest, func(a, b Epoch) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, e := range latest {
		older, ok := key(e.ID)
		if !ok {
			return nil, fmt.Errorf("key of epoch %s: %w", e.ID.Short(), ErrUnknown)
		}
		back, err := fresh.wrapBack(space, older)
		if err != nil {
			return nil, err
		}
		if back.Epoch != e.ID {
			return nil, fmt.Errorf("key of epoch %s is another's: %w", e.ID.Short(), ErrUnknown)
		}
		p.Gen = max(p.Gen, e.Gen+1)
		p.Prev, p.Back = append(p.Prev, e.ID), append(p.Back, back)
	}
	var err error
	if p.Recipients, err = wrapAll(view.ActiveDevices(), space, fresh, false); err != nil {
		return nil, err
	}
	p.Relays, err = wrapAll(view.RelayDevices(), space, fresh, true)
	return p, err
}

func wrapAll(devices []Device, space SpaceID, key EpochKey, swarm bool) (out []WrappedKey, err error) {
	epoch := key.ID(space)
	for _, d := range devices {
		w, err := wrapFor(d.Public, space, epoch, key, swarm)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

var (
	_ fmt.Formatter  = EpochKey{}
	_ slog.LogValuer = SwarmSecret{}
)
