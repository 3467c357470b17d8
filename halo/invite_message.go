package halo

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/text/unicode/norm"
)

// The messages of an invitation, inside the session that its code opens:
//
//	G->H Auth     the digits are known; nothing of the space is sent before
//	H->G Offer    what is offered, by whom
//	G->H Join     who wants to join, with a proof of its device key
//	H->G Sign     device only: the DeviceAdd, which the new device signs too
//	G->H Signed   device only: its signature
//	H->G Bundle   any number of times: credentials, parents first
//	H->G Wait     an admin has to approve: the connection stays, or the guest comes again
//	H->G Admit    the membership, with what the guest needs to begin
//	G->H Ack      the guest has stored it
//
// Who has lost all devices answers the Offer of a member, or of a device of its
// own, by the phrase instead (recover.go):
//
//	G->H Reclaim    the root key of the identity, and the new device
//	H->G Past       any number of times: the credentials of the identity
//	G->H Reclaimed  the checkpoint by which the root admits the new device
//
// A device gets an Admit for its identity and one for every space; all but the
// last say that more follow. Either side may end it by a Refuse. Resume takes up
// an invitation whose connection was lost after the Admit.

const maxDisplayName = 256 // bytes

// Message is one of the messages of an invitation, a pointer to one of the
// types below.
type Message interface {
	number() uint64
	check() error
}

// Auth shows that the guest knows the digits.
type Auth struct {
	Proof [32]byte `cbor:"1,keyasint"` // AuthProof
}

// Offer says what the guest is invited to.
type Offer struct {
	Kind      InviteKind `cbor:"1,keyasint"`
	Space     SpaceID    `cbor:"2,keyasint"` // zero for a device
	Name      string     `cbor:"3,keyasint"` // the space's, as its host calls it
	Role      Role       `cbor:"4,keyasint"`
	Inviter   [][]byte   `cbor:"5,keyasint"` // credentials of the inviter's identity
	Challenge [32]byte   `cbor:"6,keyasint"`
}

// Join asks to be admitted.
type Join struct {
	Identity [][]byte      `cbor:"1,keyasint"` // credentials of the guest's identity; none for a device
	Device   DeviceID      `cbor:"2,keyasint"`
	Proof    [64]byte      `cbor:"3,keyasint"`           // SignJoin
	Name     string        `cbor:"4,keyasint"`           // display name of the guest, or name of the device
	Keys     *DevicePublic `cbor:"5,keyasint,omitempty"` // of a device to be added
	Open     bool          `cbor:"6,keyasint,omitempty"` // the guest has the space already
	Claim    []byte        `cbor:"7,keyasint,omitempty"` // by a link: see Claim
}

// Sign asks the new device to sign its DeviceAdd.
type Sign struct {
	Body []byte `cbor:"1,keyasint"` // Draft.Body
}

// Signed answers Sign.
type Signed struct {
	Value [64]byte `cbor:"1,keyasint"` // SignDraft
}

// Bundle carries credentials, parents before children.
type Bundle struct {
	Space       SpaceID  `cbor:"1,keyasint"` // zero: of the identity
	Credentials [][]byte `cbor:"2,keyasint"`
}

// Hints help the guest to begin.
type Hints struct {
	URLs []string `cbor:"1,keyasint"` // signaling servers
	Name string   `cbor:"2,keyasint"` // of the space
}

// Admit admits the guest.
type Admit struct {
	Space      SpaceID    `cbor:"1,keyasint"` // zero: to the identity
	Credential []byte     `cbor:"2,keyasint"` // the MemberSet or DeviceAdd; already in a Bundle for further spaces of a device
	Grants     [][]byte   `cbor:"3,keyasint"` // KeyGrants to the guest's device
	Floor      []FeedMark `cbor:"4,keyasint"` // what the host has: nobody may show the guest less
	Hints      Hints      `cbor:"5,keyasint"`
	Resume     [16]byte   `cbor:"6,keyasint"` // names this admission in a Resume
	More       bool       `cbor:"7,keyasint"` // another Admit follows
}

// Ack says that the guest has stored the admission.
type Ack struct {
	Credential CredentialID `cbor:"1,keyasint"`
	Sig        [64]byte     `cbor:"2,keyasint"` // SignAck
}

// Refusal says why an invitation ended.
type Refusal uint8

// The refusals.
const (
	RefuseWrongCode Refusal = 1
	RefuseExpired   Refusal = 2
	RefuseDeclined  Refusal = 3
	RefuseBusy      Refusal = 4 // another guest is being admitted
	RefuseProtocol  Refusal = 5
	RefuseCancelled Refusal = 6 // the inviter has withdrawn it
	RefuseUsed      Refusal = 7 // somebody else came in by it
	RefuseMember    Refusal = 8 // the guest has what it is invited to
)

// Refuse ends an invitation.
type Refuse struct {
	Why       Refusal `cbor:"1,keyasint"`
	TriesLeft uint64  `cbor:"2,keyasint"`
}

// Resume takes up an admission.
type Resume struct {
	ID     [16]byte `cbor:"1,keyasint"`
	Device DeviceID `cbor:"2,keyasint"`
	Proof  [64]byte `cbor:"3,keyasint"` // SignJoin with a challenge of the id and 16 zero bytes
}

// Wait tells a guest that came by a link that an admin has to approve it.
type Wait struct {
	Over bool `cbor:"1,keyasint"` // the link was used as often as it may be
	Old  bool `cbor:"2,keyasint"` // it waits since an earlier session, whose pictures the admins see
}

func (*Auth) number() uint64   { return 1 }
func (*Offer) number() uint64  { return 2 }
func (*Join) number() uint64   { return 3 }
func (*Sign) number() uint64   { return 4 }
func (*Signed) number() uint64 { return 5 }
func (*Bundle) number() uint64 { return 6 }
func (*Admit) number() uint64  { return 7 }
func (*Ack) number() uint64    { return 8 }
func (*Refuse) number() uint64 { return 9 }
func (*Resume) number() uint64 { return 10 }
func (*Wait) number() uint64   { return 11 }

// newMessage returns a zero message, or nil.
func newMessage(number uint64) Message {
	for _, m := range []Message{new(Auth), new(Offer), new(Join), new(Sign), new(Signed), new(Bundle), new(Admit), new(Ack), new(Refuse), new(Resume), new(Wait), new(Reclaim), new(Reclaimed), new(Past)} {
		if m.number() == number {
			return m
		}
	}
	return nil
}

type messageWire struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
	Body   cbor.RawMessage
}

// EncodeMessage returns a message as it is sent. It fails with ErrTooLarge or
// ErrMalformed.
func EncodeMessage(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	body, err := encode(m)
	if err != nil {
		return nil, err
	}
	b, err := encode(messageWire{Number: m.number(), Body: body})
	if err == nil && len(b) > MaxMessageSize {
		err = fmt.Errorf("encode %T of %d bytes: %w", m, len(b), ErrTooLarge)
	}
	return b, err
}

// DecodeMessage reads a message strictly. It fails with ErrTooLarge or
// ErrMalformed.
func DecodeMessage(b []byte) (Message, error) {
	var w messageWire
	if err := decode(b, &w, MaxMessageSize); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	m := newMessage(w.Number)
	if m == nil {
		return nil, malformed("message %d", w.Number)
	}
	if err := decode(w.Body, m, MaxMessageSize); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return m, m.check()
}

func checkName(what, name string) error {
	if len(name) > maxDisplayName || !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) {
		return malformed("%s of %d bytes", what, len(name))
	}
	return nil
}

func (m *Auth) check() error { return nil }

func (m *Offer) check() error {
	if (m.Kind == InviteDevice) != m.Space.IsZero() || m.Kind != InviteDevice && (m.Kind != InviteMember || !m.Role.grantable()) {
		return malformed("offer of kind %d for role %d", m.Kind, m.Role)
	}
	return checkName("space name", m.Name)
}

func (m *Join) check() error {
	if (m.Keys != nil) == (len(m.Identity) > 0) || m.Keys != nil && m.Keys.ID() != m.Device {
		return malformed("join of neither or both of identity and device")
	}
	if len(m.Claim) != 0 && (len(m.Claim) != claimSize || m.Keys != nil) {
		return malformed("join with a claim of %d bytes", len(m.Claim))
	}
	if m.Keys != nil {
		if err := m.Keys.Check(); err != nil {
			return err
		}
	}
	return checkName("display name", m.Name)
}

func (m *Sign) check() error   { return nil }
func (m *Signed) check() error { return nil }

func (m *Bundle) check() error {
	if len(m.Credentials) > maxElements {
		return malformed("bundle of %d credentials", len(m.Credentials))
	}
	return nil
}

func (m *Admit) check() error {
	if len(m.Hints.URLs) > maxURLs || len(m.Floor) > maxElements || len(m.Grants) > maxElements || !sortedBy(m.Floor, func(f FeedMark) []byte { return f.Feed[:] }) {
		return malformed("admission with %d URLs and a floor of %d", len(m.Hints.URLs), len(m.Floor))
	}
	for _, u := range m.Hints.URLs {
		if len(u) > maxURL {
			return malformed("URL of %d bytes", len(u))
		}
	}
	return checkName("space name", m.Hints.Name)
}

func (m *Ack) check() error { return nil }

func (m *Refuse) check() error {
	if m.Why < RefuseWrongCode || m.Why > RefuseMember {
		return malformed("refusal %d", m.Why)
	}
	return nil
}

func (m *Resume) check() error { return nil }
func (m *Wait) check() error   { return nil }

// Bundles splits credentials, parents first, into messages of a size that can
// be sent.
func Bundles(space SpaceID, list []*Credential) []*Bundle {
	var out []*Bundle
	size := MaxMessageSize
	for _, c := range list {
		n := len(c.Bytes()) + 8
		if size+n > MaxMessageSize-64 || len(out[len(out)-1].Credentials) >= maxElements {
			out, size = append(out, &Bundle{Space: space}), 0
		}
		b := out[len(out)-1]
		b.Credentials, size = append(b.Credentials, c.Bytes()), size+n
	}
	return out
}

// RawCredentials returns the bytes of each credential.
func RawCredentials(list []*Credential) [][]byte {
	out := make([][]byte, len(list))
	for i, c := range list {
		out[i] = c.Bytes()
	}
	return out
}

// Load parses credentials, in any order, and adds them. It fails with the first
// error of ParseCredential or Add, and with ErrUnknown where a parent is
// missing from what the graph holds then.
func (g *Graph) Load(raw [][]byte) error {
	for _, b := range raw {
		c, err := ParseCredential(b)
		if err != nil {
			return err
		}
		if _, err := g.Add(c); err != nil {
			return err
		}
	}
	if missing := g.Missing(); len(missing) > 0 {
		return fmt.Errorf("load credentials: parent %s: %w", missing[0].Short(), ErrUnknown)
	}
	return nil
}

// LoadIdentity returns the graph of the one identity to which all credentials
// belong. It fails as Load does, and with ErrForeign for none or several.
func LoadIdentity(raw [][]byte) (*Graph, IdentityID, error) {
	for _, b := range raw {
		c, err := ParseCredential(b)
		if err != nil {
			return nil, IdentityID{}, err
		}
		if c.Type.ofIdentity() {
			id := IdentityID(c.DAG)
			g := NewIdentityGraph(id)
			return g, id, g.Load(raw)
		}
	}
	return nil, IdentityID{}, fmt.Errorf("load identity: no credential of one: %w", ErrForeign)
}

func joinMessage(challenge [32]byte, handshake []byte, space SpaceID) []byte {
	return labelled("join", challenge[:], handshake, space[:])
}

// SignJoin returns the proof of a Join: that the guest's device is in this very
// session and means this space.
func SignJoin(s Signer, challenge [32]byte, handshake []byte, space SpaceID) [64]byte {
	return signature64(s.Sign(joinMessage(challenge, handshake, space)))
}

// VerifyJoin checks what SignJoin made. It fails with ErrBadSignature.
func VerifyJoin(key [32]byte, proof [64]byte, challenge [32]byte, handshake []byte, space SpaceID) error {
	return verifyLabelled(key, proof, joinMessage(challenge, handshake, space), "join")
}

// SignAck returns the signature of an Ack over the Admit as it came.
func SignAck(s Signer, admit []byte) [64]byte {
	sum := sha256.Sum256(admit)
	return signature64(s.Sign(labelled("ack", sum[:])))
}

// VerifyAck checks what SignAck made. It fails with ErrBadSignature.
func VerifyAck(key [32]byte, sig [64]byte, admit []byte) error {
	sum := sha256.Sum256(admit)
	return verifyLabelled(key, sig, labelled("ack", sum[:]), "acknowledgement")
}

func verifyLabelled(key [32]byte, sig [64]byte, msg []byte, what string) error {
	if CheckSignKey(key[:]) != nil || !ed25519.Verify(key[:], msg, sig[:]) {
		return fmt.Errorf("verify %s: %w", what, ErrBadSignature)
	}
	return nil
}
