package halo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/crypto/argon2"
)

// Argon holds the cost of trying a passphrase.
type Argon struct {
	Time    uint32 // passes
	Memory  uint32 // KiB
	Threads uint8
}

// DefaultArgon is the least cost that is written (the second choice of
// RFC 9106); calibrate upward.
var DefaultArgon = Argon{Time: 3, Memory: 64 << 10, Threads: 4}

// maxArgon is the most that a reader spends on a file it does not know yet.
var maxArgon = Argon{Time: 20, Memory: 2 << 20, Threads: 16}

func (a Argon) acceptable() bool {
	return a.Time >= DefaultArgon.Time && a.Memory >= DefaultArgon.Memory && a.Threads >= 1 &&
		a.Time <= maxArgon.Time && a.Memory <= maxArgon.Memory && a.Threads <= maxArgon.Threads
}

// Protector opens and seals keystores: a KEK, or a passphrase. It prints as
// "[secret]".
type Protector struct {
	kind       ProtectorKind
	kek        Secret
	passphrase hidden[[]byte]
	cost       Argon
	wrap       *keyWrap // of an opened keystore: kek is known, passphrase is not kept
}

// keyWrap is what a header says of a KEK that is wrapped by a passphrase.
type keyWrap struct {
	argon         argonWire
	nonce, sealed []byte
}

// KeyProtector returns the protector of a 32-byte key that the keyring or a key
// file holds.
func KeyProtector(kind ProtectorKind, kek Secret) Protector { return Protector{kind: kind, kek: kek} }

// PassphraseProtector returns the protector of a passphrase. cost matters where
// a keystore is sealed; less than DefaultArgon becomes DefaultArgon.
func PassphraseProtector(phrase []byte, cost Argon) Protector {
	cost.Time = max(cost.Time, DefaultArgon.Time)
	cost.Memory = max(cost.Memory, DefaultArgon.Memory)
	cost.Threads = max(cost.Threads, DefaultArgon.Threads)
	return Protector{kind: ProtectPassphrase, passphrase: hide(bytes.Clone(phrase)), cost: cost}
}

// Format implements fmt.Formatter: every verb prints "[secret]".
func (Protector) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Protector) LogValue() slog.Value { return slog.StringValue(redacted) }

// newKEK returns the KEK of a keystore that is being sealed, and enters what is
// needed to find it again.
func (p Protector) newKEK(h *keystoreHeader) (Secret, error) {
	if p.kind != ProtectPassphrase {
		if p.kind != ProtectKeyring && p.kind != ProtectKeyfile || p.kek.IsZero() {
			return Secret{}, malformed("protector %v without a key", p.kind)
		}
		return p.kek, nil
	}
	if w := p.wrap; w != nil {
		h.Argon, h.WrapNonce, h.Wrapped = &w.argon, w.nonce, w.sealed
		return p.kek, nil
	}
	if !p.cost.acceptable() {
		return Secret{}, malformed("argon2id cost %+v", p.cost)
	}
	fresh := make([]byte, 32)
	h.Argon = &argonWire{Time: p.cost.Time, Memory: p.cost.Memory, Threads: p.cost.Threads}
	for _, b := range [][]byte{fresh, h.Argon.Salt[:]} {
		if _, err := rand.Read(b); err != nil {
			return Secret{}, err
		}
	}
	sealed, err := sealX(h.Argon.key(p.passphrase.reveal()), fresh, []byte(label("ks-wrap")))
	if err != nil {
		return Secret{}, err
	}
	h.WrapNonce, h.Wrapped = sealed[:nonceSize], sealed[nonceSize:]
	defer clear(fresh)
	return NewSecret(fresh)
}

func (a *argonWire) key(passphrase []byte) []byte {
	return argon2.IDKey(passphrase, a.Salt[:], a.Time, a.Memory, a.Threads, 32)
}

func (p Protector) findKEK(h keystoreHeader) (Secret, error) {
	if p.kind != ProtectPassphrase {
		if p.kek.IsZero() {
			return Secret{}, ErrKeystore
		}
		return p.kek, nil
	}
	if p.passphrase.reveal == nil {
		return Secret{}, ErrKeystore // of another keystore that is open
	}
	if cost := (Argon{h.Argon.Time, h.Argon.Memory, h.Argon.Threads}); !cost.acceptable() {
		return Secret{}, ErrKeystore
	}
	sealed := slices.Concat(h.WrapNonce, h.Wrapped)
	kek, err := openX(h.Argon.key(p.passphrase.reveal()), sealed, []byte(label("ks-wrap")))
	if err != nil {
		return Secret{}, ErrKeystore
	}
	defer clear(kek)
	return NewSecret(kek)
}

// opened returns the protector that seals a keystore again which p has opened:
// by its KEK, without the passphrase.
func (p Protector) opened(h keystoreHeader, kek Secret) Protector {
	o := Protector{kind: p.kind, kek: kek}
	if p.kind == ProtectPassphrase {
		o.wrap = &keyWrap{argon: *h.Argon, nonce: h.WrapNonce, sealed: h.Wrapped}
	}
	return o
}

// waste takes as long as trying a passphrase, so that a damaged file is not
// told from a wrong passphrase by a clock.
func (p Protector) waste() {
	if p.kind == ProtectPassphrase && p.passphrase.reveal != nil {
		a := argonWire{Time: DefaultArgon.Time, Memory: DefaultArgon.Memory, Threads: DefaultArgon.Threads}
		a.key(p.passphrase.reveal())
	}
}

// Kind returns where the key comes from.
func (p Protector) Kind() ProtectorKind { return p.kind }

// Wipe overwrites the key and the passphrase in memory, for all copies of p.
// Best effort, as Secret.Wipe is.
func (p Protector) Wipe() {
	p.kek.Wipe()
	if p.passphrase.reveal != nil {
		clear(p.passphrase.reveal())
	}
}

// Calibration of the cost of a passphrase.
const (
	calibrateMemory = 1 << 20 // KiB, the most that is chosen; readers allow twice that
	calibrateLeast  = 500 * time.Millisecond
)

// CalibrateArgon returns the cost at which one try of a passphrase takes
// between 0.5 and 1 s on this machine, never below DefaultArgon and never above
// memory KiB (at least DefaultArgon's) or 1 GiB. It takes about as long as the
// try.
func CalibrateArgon(memory uint32) Argon {
	return calibrate(min(memory, calibrateMemory), func(cost Argon) time.Duration {
		begun := time.Now()
		argon2.IDKey(make([]byte, 16), make([]byte, 16), cost.Time, cost.Memory, cost.Threads, 32)
		return time.Since(begun)
	})
}

// calibrate doubles the memory, and then raises the passes, until a try is
// estimated to take long enough: the time is proportional to both.
func calibrate(memory uint32, measure func(Argon) time.Duration) Argon {
	cost := DefaultArgon
	took := max(measure(cost), time.Microsecond)
	for took < calibrateLeast && cost.Memory*2 <= memory {
		cost.Memory *= 2
		took *= 2
	}
	for took < calibrateLeast && cost.Time < maxArgon.Time {
		took += took / time.Duration(cost.Time)
		cost.Time++
	}
	return cost
}
