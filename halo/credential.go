package halo

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const credentialLabel = "cred"

// SigRole says in which capacity a signature on a credential was made.
type SigRole uint8

// The capacities.
const (
	SigIssuer   SigRole = 0 // the issuing device
	SigSubject  SigRole = 1 // the device or root key that is introduced: proof of possession
	SigRoot     SigRole = 2 // the identity's root key
	SigCoSigner SigRole = 3 // the one-shot key of a space
	SigInvite   SigRole = 4 // reserved for the key of a link
)

// signature is one element of an envelope.
type signature struct {
	_     struct{} `cbor:",toarray"`
	Role  SigRole
	Key   [32]byte
	Value [64]byte
}

// envelope is a credential on the wire: [body, sigs].
type envelope struct {
	_    struct{} `cbor:",toarray"`
	Body []byte
	Sigs []signature
}

// bodyWire is what is signed.
type bodyWire struct {
	Version  uint64          `cbor:"1,keyasint"`
	Type     Type            `cbor:"2,keyasint"`
	DAG      [32]byte        `cbor:"3,keyasint"`
	Parents  []CredentialID  `cbor:"4,keyasint"`
	Issuer   *IdentityID     `cbor:"5,keyasint"`
	Device   *DeviceID       `cbor:"6,keyasint"`
	IssuedAt uint64          `cbor:"7,keyasint"`
	Payload  cbor.RawMessage `cbor:"8,keyasint"`
}

// Credential is a signed statement whose form and signatures were checked.
// Whether the keys that signed had the authority is for a Graph to say. It is
// not changed once it was made.
type Credential struct {
	ID       CredentialID
	Type     Type
	DAG      [32]byte       // the identity or space it belongs to; in a genesis, its own id
	Parents  []CredentialID // sorted
	ByRoot   bool           // issued by the root key: Issuer and Device are zero
	Issuer   IdentityID
	Device   DeviceID
	IssuedAt uint64 // unix seconds, as the author says: to be shown, never to decide
	Payload  Payload

	raw  []byte
	sigs []signature
}

// Bytes returns the credential as it is stored and sent. It must not be
// changed.
func (c *Credential) Bytes() []byte { return c.raw }

// Time returns when the author says it issued the credential.
func (c *Credential) Time() time.Time { return time.Unix(int64(min(c.IssuedAt, 1<<40)), 0) }

// OfIdentity reports whether the credential belongs to the graph of an identity.
func (c *Credential) OfIdentity(id IdentityID) bool { return c.Type.ofIdentity() && c.DAG == id }

// String returns type and short id, for logs.
func (c *Credential) String() string {
	return fmt.Sprintf("credential %s type %d", c.ID.Short(), c.Type)
}

// key returns the key that signed in a capacity; zero if none did.
func (c *Credential) key(role SigRole) (key [32]byte) {
	for _, s := range c.sigs {
		if s.Role == role {
			return s.Key
		}
	}
	return key
}

// ParseCredential reads a credential strictly and verifies each signature
// against the key beside it, and the keys that the credential itself names. It
// fails with ErrTooLarge, ErrMalformed, ErrBadKey or ErrBadSignature.
func ParseCredential(raw []byte) (*Credential, error) {
	var env envelope
	if err := decode(raw, &env, MaxRotateSize); err != nil {
		return nil, fmt.Errorf("parse credential: %w", err)
	}
	c, err := parseBody(env.Body)
	if err != nil {
		return nil, fmt.Errorf("parse credential: %w", err)
	}
	if c.Type != TypeEpochRotate && len(raw) > MaxCredentialSize {
		return nil, fmt.Errorf("parse credential of %d bytes: %w", len(raw), ErrTooLarge)
	}
	c.raw, c.sigs = bytes.Clone(raw), env.Sigs
	if err := c.checkSignatures(env.Body); err != nil {
		return nil, fmt.Errorf("parse credential: %w", err)
	}
	return c, nil
}

// parseBody reads the part that is signed.
func parseBody(body []byte) (*Credential, error) {
	var w bodyWire
	if err := decode(body, &w, MaxRotateSize); err != nil {
		return nil, err
	}
	c := &Credential{
		ID: CredentialID(hashOf(credentialLabel, body)), Type: w.Type, DAG: w.DAG,
		Parents: w.Parents, ByRoot: w.Issuer == nil, IssuedAt: w.IssuedAt,
	}
	if w.Version != 1 {
		return nil, malformed("credential version %d", w.Version)
	}
	if (w.Issuer == nil) != (w.Device == nil) {
		return nil, malformed("credential with half an issuer")
	}
	if w.Issuer != nil {
		c.Issuer, c.Device = *w.Issuer, *w.Device
	}
	if !sortedHeads(w.Parents) {
		return nil, malformed("credential: parents are not sorted or too many")
	}
	genesis := c.Type == TypeIDGenesis || c.Type == TypeSpaceGenesis
	if genesis != (w.DAG == [32]byte{}) || (len(w.Parents) == 0) != (c.Type == TypeIDGenesis) {
		return nil, malformed("credential type %d with %d parents in %x", w.Type, len(w.Parents), w.DAG[:4])
	}
	if genesis {
		c.DAG = c.ID
	}
	var err error
	if c.Payload, err = decodePayload(w.Type, w.Payload); err != nil {
		return nil, err
	}
	if root, known := c.Type.byRoot(); known && root != c.ByRoot {
		return nil, malformed("credential type %d by the wrong kind of issuer", w.Type)
	}
	return c, nil
}

// byRoot reports whether the root key issues credentials of type t, and
// whether t is known.
func (t Type) byRoot() (root, known bool) {
	switch t {
	case TypeIDGenesis, TypeIDCheckpoint, TypeRootRotate:
		return true, true
	}
	return false, newPayload(t) != nil
}

// signers returns the capacities in which a credential must be signed, no
// more and no less, in ascending order: since signatures are not part of the
// id, a signature that could be left out would give one id two meanings.
func (c *Credential) signers() []SigRole {
	switch c.Type {
	case TypeIDGenesis, TypeRootRotate:
		return []SigRole{SigSubject, SigRoot}
	case TypeDeviceAdd:
		return []SigRole{SigIssuer, SigSubject}
	case TypeSpaceGenesis:
		return []SigRole{SigIssuer, SigCoSigner}
	}
	if c.ByRoot {
		return []SigRole{SigRoot}
	}
	return []SigRole{SigIssuer}
}

// namedKey returns the key that must have signed in a capacity, where the
// credential itself says so.
func (c *Credential) namedKey(role SigRole) (key [32]byte, named bool) {
	switch p := c.Payload.(type) {
	case *IDGenesis:
		if role == SigRoot {
			return p.RootSign, true
		}
		return p.Device.Sign, true
	case *DeviceAdd:
		return p.Device.Sign, role == SigSubject
	case *RootRotate:
		return p.RootSign, role == SigSubject
	case *SpaceGenesis:
		return p.SpaceKey, role == SigCoSigner
	}
	return key, false
}

func (c *Credential) checkSignatures(body []byte) error {
	want := c.signers()
	if _, known := c.Payload.(*UnknownPayload); !known && len(c.sigs) != len(want) {
		return fmt.Errorf("%v: %d signatures, want %d: %w", c, len(c.sigs), len(want), ErrBadSignature)
	}
	if len(c.sigs) < 1 || len(c.sigs) > 4 {
		return fmt.Errorf("%v: %d signatures: %w", c, len(c.sigs), ErrBadSignature)
	}
	if !slices.IsSortedFunc(c.sigs, func(a, b signature) int { return int(a.Role) - int(b.Role) }) {
		return fmt.Errorf("%v: signatures are not sorted: %w", c, ErrBadSignature)
	}
	for _, role := range want {
		if c.key(role) == [32]byte{} {
			return fmt.Errorf("%v: no signature %d: %w", c, role, ErrBadSignature)
		}
		if key, named := c.namedKey(role); named && key != c.key(role) {
			return fmt.Errorf("%v: signature %d by another key: %w", c, role, ErrBadSignature)
		}
	}
	msg := labelled(credentialLabel, body)
	for _, s := range c.sigs {
		if err := CheckSignKey(s.Key[:]); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		if !ed25519.Verify(s.Key[:], msg, s.Value[:]) {
			return fmt.Errorf("%v: signature %d: %w", c, s.Role, ErrBadSignature)
		}
	}
	return nil
}

// signature64 returns sig as an array; a signer that returns something else
// than 64 bytes has made a signature that does not verify.
func signature64(sig []byte) (out [64]byte) {
	if len(sig) == len(out) {
		copy(out[:], sig)
	}
	return out
}

// Draft is a credential that lacks signatures. It is needed where two devices
// sign: the body goes to the other, which signs it with SignDraft.
type Draft struct {
	body []byte
	sigs []signature
	view *Credential
}

// DraftOf returns a draft for a body that came from elsewhere.
func DraftOf(body []byte) (*Draft, error) {
	c, err := parseBody(body)
	if err != nil {
		return nil, fmt.Errorf("read draft: %w", err)
	}
	return &Draft{body: bytes.Clone(body), view: c}, nil
}

func newDraft(w bodyWire, p Payload) (*Draft, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	raw, err := encodePayload(p)
	if err != nil {
		return nil, err
	}
	w.Version, w.Type, w.Payload = 1, p.Type(), raw
	if w.Parents == nil {
		w.Parents = []CredentialID{}
	}
	body, err := encode(w)
	if err != nil {
		return nil, err
	}
	return DraftOf(body)
}

// Body returns the bytes to be signed by the other side.
func (d *Draft) Body() []byte { return bytes.Clone(d.body) }

// Credential returns what the draft says; it has no signatures and no bytes.
func (d *Draft) Credential() *Credential { return d.view }

// message returns what a signer signs.
func (d *Draft) message() []byte { return labelled(credentialLabel, d.body) }

// SignDraft returns the subject's signature on a draft: the proof that the
// device to be added has its key. It fails with ErrForeign unless the draft
// adds exactly this device to the identity.
func SignDraft(d *Draft, identity IdentityID, s Signer) ([64]byte, error) {
	add, ok := d.view.Payload.(*DeviceAdd)
	if !ok || add.Device.ID() != s.Public().ID() || d.view.DAG != identity {
		return [64]byte{}, fmt.Errorf("sign draft: %w", ErrForeign)
	}
	return signature64(s.Sign(d.message())), nil
}

// Attach adds a signature made elsewhere. It is checked when the draft is
// finished.
func (d *Draft) Attach(role SigRole, key [32]byte, value [64]byte) {
	d.sigs = append(d.sigs, signature{Role: role, Key: key, Value: value})
}

// sign adds a signature by a key at hand.
func (d *Draft) sign(role SigRole, key [32]byte, sign func([]byte) []byte) {
	d.Attach(role, key, signature64(sign(d.message())))
}

// Finish returns the credential. It fails with ErrBadSignature where a
// signature is missing, superfluous or wrong.
func (d *Draft) Finish() (*Credential, error) {
	slices.SortStableFunc(d.sigs, func(a, b signature) int { return int(a.Role) - int(b.Role) })
	raw, err := encode(envelope{Body: d.body, Sigs: d.sigs})
	if err != nil {
		return nil, err
	}
	return ParseCredential(raw)
}
