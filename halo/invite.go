package halo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"time"
)

const (
	codePrefix  = "echofs1-"
	maxCode     = 2048 // characters of a code, as typed
	maxURLs     = 4
	maxURL      = 256 // bytes
	authDigits  = 6
	authCodeCap = 1_000_000 // 10^authDigits
)

// AuthTries is how many wrong authorization codes burn an invitation, over all
// connections.
const AuthTries = 3

// InviteKind says what an invitation is for.
type InviteKind uint8

// The kinds of invitations.
const (
	InviteMember InviteKind = 1 // an identity joins a space
	InviteDevice InviteKind = 2 // a device joins an identity
)

// Invite is a one-time invitation: who has its code meets the inviter, and
// nobody else can. It prints as "[secret]".
type Invite struct {
	Kind    InviteKind
	URLs    []string // signaling servers, at most 4
	Expires time.Time

	secret hidden[[16]byte]
}

type inviteWire struct {
	Kind    InviteKind `cbor:"1,keyasint"`
	Secret  [16]byte   `cbor:"2,keyasint"`
	URLs    []string   `cbor:"3,keyasint"`
	Expires uint64     `cbor:"4,keyasint"` // unix seconds
}

// NewInvite returns an invitation with a fresh secret. It fails with
// ErrMalformed for URLs that cannot be written in a code.
func NewInvite(kind InviteKind, urls []string, expires time.Time) (Invite, error) {
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return Invite{}, fmt.Errorf("new invitation: %w", err)
	}
	i := Invite{Kind: kind, URLs: urls, Expires: time.Unix(int64(unix(expires)), 0), secret: hide(secret)}
	return i, i.check()
}

func (i Invite) check() error {
	if i.Kind != InviteMember && i.Kind != InviteDevice || i.secret.reveal == nil {
		return malformed("invitation of kind %d", i.Kind)
	}
	return checkURLs("invitation", i.URLs)
}

func checkURLs(what string, urls []string) error {
	if len(urls) > maxURLs {
		return malformed("%s with %d URLs", what, len(urls))
	}
	for _, u := range urls {
		printable := !strings.ContainsFunc(u, func(r rune) bool { return r <= ' ' || r > '~' })
		if len(u) == 0 || len(u) > maxURL || !printable {
			return malformed("%s with a URL of %d bytes", what, len(u))
		}
	}
	return nil
}

// Code returns the text that is handed to the guest: a secret until it was
// used.
func (i Invite) Code() (string, error) {
	if err := i.check(); err != nil {
		return "", err
	}
	b, err := encode(inviteWire{i.Kind, i.secret.reveal(), i.URLs, unix(i.Expires)})
	if err != nil {
		return "", err
	}
	return codePrefix + grouped(b), nil
}

// ParseInvite reads a code as people type it: either case, with or without
// dashes and white space, o for zero, i and l for one. It fails with
// ErrBadCode, and says which group of characters is wrong; no error repeats
// the code. Whether it has expired is for the caller's clock.
func ParseInvite(code string) (Invite, error) {
	code = strings.TrimSpace(code)
	n := len(codePrefix) - 2 // before the 1
	if len(code) > maxCode || len(code) < n+1 || !strings.EqualFold(code[:n], codePrefix[:n]) || !strings.ContainsRune("1iIlL", rune(code[n])) {
		return Invite{}, fmt.Errorf("no code that begins with %q: %w", codePrefix, ErrBadCode)
	}
	b, wrong := ungrouped(code[n+1:])
	if wrong > 0 {
		return Invite{}, fmt.Errorf("group %d is mistyped: %w", wrong, ErrBadCode)
	}
	var w inviteWire
	if err := decode(b, &w, maxCode); err != nil {
		return Invite{}, fmt.Errorf("incomplete or of another version: %w", ErrBadCode)
	}
	i := Invite{Kind: w.Kind, URLs: w.URLs, Expires: time.Unix(int64(min(w.Expires, 1<<40)), 0), secret: hide(w.Secret)}
	if w.Expires > 1<<40 || i.check() != nil {
		return Invite{}, fmt.Errorf("of another version: %w", ErrBadCode)
	}
	return i, nil
}

func (i Invite) derive(name string, n int) []byte {
	secret := i.secret.reveal()
	return derive(secret[:], name, n)
}

func (i Invite) deriveSecret(name string) Secret {
	secret := i.secret.reveal()
	return deriveSecret(secret[:], name)
}

// Topic returns where host and guest meet.
func (i Invite) Topic() Topic {
	return Topic(i.derive("invite-topic", len(Topic{})))
}

// ID names the invitation. It is no secret: nothing leads from it to the code.
func (i Invite) ID() [8]byte { return [8]byte(i.derive("invite-id", 8)) }

// SignalKey returns the key of their sealed signaling.
func (i Invite) SignalKey() Secret { return i.deriveSecret("signal") }

// NoisePSK returns the pre-shared key of their session.
func (i Invite) NoisePSK() Secret { return i.deriveSecret("noise-psk") }

// Format implements fmt.Formatter: every verb prints "[secret]".
func (Invite) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Invite) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON shows nothing.
func (Invite) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewAuthCode returns six random digits, which the inviter tells the guest by
// another way than the code.
func NewAuthCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(authCodeCap))
	if err != nil {
		return "", fmt.Errorf("new authorization code: %w", err)
	}
	return fmt.Sprintf("%0*d", authDigits, n), nil
}

// AuthProof returns what the guest sends to show that it knows the digits. It
// is bound to the session by its handshake hash. Where no digits are asked for
// they are empty. White space between digits does not matter.
func AuthProof(handshake []byte, digits string) [32]byte {
	mac := hmac.New(sha256.New, derive(handshake, "auth-code", 32))
	mac.Write([]byte(strings.Join(strings.Fields(digits), "")))
	return [32]byte(mac.Sum(nil))
}

// CheckAuthProof reports, in constant time, whether proof shows the digits.
func CheckAuthProof(handshake []byte, digits string, proof [32]byte) bool {
	want := AuthProof(handshake, digits)
	return hmac.Equal(want[:], proof[:])
}

// HostState is where the inviter's side of an invitation is. It is stored
// before anything that follows from it is sent.
type HostState string

// The states of a host.
const (
	HostCreated   HostState = "created"
	HostOpen      HostState = "open"      // listening on the topic
	HostContacted HostState = "contacted" // a guest has the code
	HostAuthOK    HostState = "auth-ok"   // and the digits
	HostReview    HostState = "review"    // the user looks at the guest
	HostCommitted HostState = "committed" // the credential is written
	HostDone      HostState = "done"      // and the guest has confirmed it
	HostExpired   HostState = "expired"
	HostCancelled HostState = "cancelled"
	HostBurned    HostState = "burned" // too many wrong digits
	HostFailed    HostState = "failed"
)

// GuestState is where the guest's side of an invitation is.
type GuestState string

// The states of a guest.
const (
	GuestEntered    GuestState = "entered"
	GuestConnecting GuestState = "connecting"
	GuestAuthOK     GuestState = "auth-ok"
	GuestOfferShown GuestState = "offer-shown"
	GuestRequested  GuestState = "requested"
	GuestWaiting    GuestState = "waiting" // an admin has to approve
	GuestReceived   GuestState = "received"
	GuestSyncing    GuestState = "syncing"
	GuestJoined     GuestState = "joined"
	GuestWrongCode  GuestState = "wrong-code"
	GuestExpired    GuestState = "expired"
	GuestDeclined   GuestState = "declined"
	GuestFailed     GuestState = "failed" // may be tried again
)

// hostOrder and guestOrder are the states on the straight way, in order.
var (
	hostOrder  = []HostState{HostCreated, HostOpen, HostContacted, HostAuthOK, HostReview, HostCommitted, HostDone}
	guestOrder = []GuestState{GuestEntered, GuestConnecting, GuestAuthOK, GuestOfferShown, GuestRequested, GuestReceived, GuestSyncing, GuestJoined}
)

// Final reports whether nothing follows.
func (s HostState) Final() bool {
	switch s {
	case HostDone, HostExpired, HostCancelled, HostBurned, HostFailed:
		return true
	}
	return false
}

// Final reports whether nothing follows but a new attempt.
func (s GuestState) Final() bool {
	switch s {
	case GuestJoined, GuestWrongCode, GuestExpired, GuestDeclined, GuestFailed:
		return true
	}
	return false
}

// CanBecome reports whether next may follow: the next on the way (review may
// be left out), open again after a guest went away or failed before anything
// was committed, or an exit. What is committed can only become done: the
// credential exists.
func (s HostState) CanBecome(next HostState) bool {
	if s.Final() {
		return false
	}
	if s == HostCommitted {
		return next == HostDone
	}
	if next.Final() {
		return next != HostDone
	}
	if next == HostOpen || s == HostAuthOK && next == HostCommitted {
		return true
	}
	return follows(hostOrder, s, next)
}

// CanBecome reports whether next may follow: the next on the way, connecting
// again after the connection was lost, or an exit. Between requested and received a
// guest may have to wait.
func (s GuestState) CanBecome(next GuestState) bool {
	if s.Final() {
		return s == GuestFailed && next == GuestConnecting
	}
	if next.Final() && next != GuestJoined {
		return true
	}
	switch {
	case next == GuestConnecting:
		return s != GuestSyncing
	case next == GuestWaiting:
		return s == GuestRequested
	case s == GuestWaiting:
		return next == GuestReceived
	}
	return follows(guestOrder, s, next)
}

// follows reports whether b stands directly after a.
func follows[T comparable](order []T, a, b T) bool {
	for i := 1; i < len(order); i++ {
		if order[i-1] == a && order[i] == b {
			return true
		}
	}
	return false
}
