package halo

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
)

// A link invites several guests, and whoever made it need not be there: the
// space's graph holds who may come by it (InviteIssue), and any device that may
// admit meets the guests.
//
// From the link's secret follow a key, with which a guest shows that it has the
// link, and a second secret, which says where guests and hosts meet. The graph
// has the public half of the key, and the second secret sealed for members. So
// a member can be a host of a link, and nobody brings in guests who does not
// have it.

const (
	linkPrefix  = "echofs://join/1#"
	maxLink     = 2048 // characters of a link
	maxLinkURLs = 384  // bytes of all its URLs together: they must fit a sealed label
	labelMeet   = "link"
)

// LinkID names a link. It is no secret.
type LinkID [16]byte

// Link is an invitation of several guests. It prints as "[secret]".
type Link struct {
	URLs []string // signaling servers, at most 4

	space  [16]byte // names the space to who knows it
	secret hidden[[32]byte]
}

type linkWire struct {
	Secret [32]byte `cbor:"1,keyasint"`
	URLs   []string `cbor:"2,keyasint"`
	Space  [16]byte `cbor:"3,keyasint"`
}

// NewLink returns a link to a space with a fresh secret. Of the URLs it takes
// those from the front that fit.
func NewLink(space SpaceID, urls []string) (Link, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return Link{}, fmt.Errorf("new link: %w", err)
	}
	l := Link{URLs: fitting(urls), space: spaceMark(space), secret: hide(secret)}
	return l, l.check()
}

// fitting returns URLs from the front that a link has room for.
func fitting(urls []string) (out []string) {
	room := maxLinkURLs
	for _, u := range urls {
		if room -= len(u); room < 0 || len(out) == maxURLs {
			break
		}
		out = append(out, u)
	}
	return out
}

// spaceMark lets who has a link notice that it was led to another space.
func spaceMark(space SpaceID) [16]byte {
	return [16]byte(derive(space[:], "link-space", 16))
}

func (l Link) check() error {
	if l.secret.reveal == nil {
		return malformed("link without a secret")
	}
	if total := len(strings.Join(l.URLs, "")); total > maxLinkURLs {
		return malformed("link with %d bytes of URLs", total)
	}
	return checkURLs("link", l.URLs)
}

// URL returns the text that is handed to guests: a secret as long as the link
// is good.
func (l Link) URL() (string, error) {
	if err := l.check(); err != nil {
		return "", err
	}
	b, err := encode(linkWire{l.secret.reveal(), l.URLs, l.space})
	if err != nil {
		return "", err
	}
	return linkPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// IsLink reports whether a text is meant to be a link, and no code.
func IsLink(text string) bool {
	scheme, _, _ := strings.Cut(linkPrefix, "//")
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), scheme)
}

// ParseLink reads a link. It fails with ErrBadCode; no error repeats the link.
func ParseLink(text string) (Link, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLink || !strings.HasPrefix(text, linkPrefix) {
		return Link{}, fmt.Errorf("no link that begins with %q: %w", linkPrefix, ErrBadCode)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text[len(linkPrefix):])
	if err != nil {
		return Link{}, fmt.Errorf("mistyped link: %w", ErrBadCode)
	}
	var w linkWire
	if err := decode(b, &w, maxLink); err != nil {
		return Link{}, fmt.Errorf("incomplete link, or of another version: %w", ErrBadCode)
	}
	l := Link{URLs: w.URLs, space: w.Space, secret: hide(w.Secret)}
	if l.check() != nil {
		return Link{}, fmt.Errorf("link of another version: %w", ErrBadCode)
	}
	return l, nil
}

// LeadsTo reports whether the link is one to a space.
func (l Link) LeadsTo(space SpaceID) bool { return l.space == spaceMark(space) }

// ID names the link. Nothing leads from it to the secret.
func (l Link) ID() LinkID {
	secret := l.secret.reveal()
	return LinkID(derive(secret[:], "link-id", 16))
}

func (l Link) private() ed25519.PrivateKey {
	secret := l.secret.reveal()
	return ed25519.NewKeyFromSeed(derive(secret[:], "invite-sign", 32))
}

// Key returns the public key that checks what guests claim.
func (l Link) Key() [32]byte { return [32]byte(l.private().Public().(ed25519.PublicKey)) }

// Meeting returns where guests and hosts of the link meet.
func (l Link) Meeting() LinkMeeting {
	secret := l.secret.reveal()
	return LinkMeeting{URLs: l.URLs, secret: deriveSecret(secret[:], "link-meet")}
}

// Format implements fmt.Formatter: every verb prints "[secret]".
func (Link) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Link) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON shows nothing.
func (Link) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LinkMeeting is where guests and hosts of a link meet. Hosts have it from the
// space's graph, guests from the link. It prints as "[secret]".
type LinkMeeting struct {
	URLs []string

	secret Secret
}

type meetWire struct {
	Secret [32]byte `cbor:"1,keyasint"`
	URLs   []string `cbor:"2,keyasint"`
}

// Topic returns the topic.
func (m LinkMeeting) Topic() Topic {
	return Topic(derive(m.secret.Bytes(), "topic", len(Topic{})))
}

// SignalKey returns the key of the sealed signaling there.
func (m LinkMeeting) SignalKey() Secret { return deriveSecret(m.secret.Bytes(), "signal") }

// NoisePSK returns the pre-shared key of the sessions.
func (m LinkMeeting) NoisePSK() Secret { return deriveSecret(m.secret.Bytes(), "noise-psk") }

// Seal encrypts the meeting for who has the key of an epoch.
func (m LinkMeeting) Seal(k EpochKey, space SpaceID) ([]byte, error) {
	b, err := encode(meetWire{[32]byte(m.secret.Bytes()), m.URLs})
	if err != nil {
		return nil, err
	}
	return k.SealLabel(space, labelMeet, string(b))
}

// OpenLinkMeeting is the inverse of Seal; LabelEpoch tells the epoch. It fails
// with ErrDecrypt or ErrMalformed.
func OpenLinkMeeting(k EpochKey, space SpaceID, sealed []byte) (LinkMeeting, error) {
	text, err := k.OpenLabel(space, labelMeet, sealed)
	if err != nil {
		return LinkMeeting{}, err
	}
	var w meetWire
	if err := decode([]byte(text), &w, maxSealed); err != nil {
		return LinkMeeting{}, fmt.Errorf("meeting of a link: %w", err)
	}
	if err := checkURLs("meeting of a link", w.URLs); err != nil {
		return LinkMeeting{}, err
	}
	secret, err := NewSecret(w.Secret[:])
	return LinkMeeting{URLs: w.URLs, secret: secret}, err
}

// Format implements fmt.Formatter: every verb prints "[secret]".
func (LinkMeeting) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (LinkMeeting) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON shows nothing.
func (LinkMeeting) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// claimSize is the length of a claim: the guest's device, the handshake hash of
// the session in which it was made, and a signature by the link's key.
const claimSize = 32 + 32 + ed25519.SignatureSize

// Claim shows that a guest has a link.
type Claim struct {
	Device    DeviceID // of the guest
	Handshake [32]byte // of the session with the host
	sig       [64]byte
}

func claimMessage(link LinkID, space SpaceID, guest IdentityID, device DeviceID, handshake [32]byte) []byte {
	return labelled("claim", link[:], space[:], guest[:], device[:], handshake[:])
}

// Claim returns what a guest shows to the host of a session. The handshake hash
// has 32 bytes.
func (l Link) Claim(space SpaceID, guest IdentityID, device DeviceID, handshake []byte) ([]byte, error) {
	if len(handshake) != 32 {
		return nil, malformed("handshake hash of %d bytes", len(handshake))
	}
	sig := ed25519.Sign(l.private(), claimMessage(l.ID(), space, guest, device, [32]byte(handshake)))
	out := append(device[:], handshake...)
	return append(out, sig...), nil
}

// ParseClaim reads a claim. It fails with ErrMalformed.
func ParseClaim(b []byte) (Claim, error) {
	if len(b) != claimSize {
		return Claim{}, malformed("claim of %d bytes", len(b))
	}
	return Claim{Device: DeviceID(b[:32]), Handshake: [32]byte(b[32:64]), sig: [64]byte(b[64:])}, nil
}

// Verify checks that who made the claim had the link with a public key. It
// fails with ErrBadSignature.
func (c Claim) Verify(key [32]byte, link LinkID, space SpaceID, guest IdentityID) error {
	return verifyLabelled(key, c.sig, claimMessage(link, space, guest, c.Device, c.Handshake), "claim")
}
