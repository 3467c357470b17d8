package halo

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// The identifiers. All are SHA-256 hashes, or derived like one, over a label
// of their own and what they name.
type (
	// IdentityID names an identity: the id of its IDGenesis.
	IdentityID [32]byte
	// DeviceID names a device: the hash of its public keys.
	DeviceID [32]byte
	// SpaceID names a space: the id of its SpaceGenesis.
	SpaceID [32]byte
	// FeedID names a feed of one device in one space.
	FeedID [32]byte
	// EpochID names an epoch of a space and commits to its key.
	EpochID [32]byte
	// CredentialID names a credential: the hash of its body.
	CredentialID [32]byte
	// EntryID names an entry: the hash of its header and signature.
	EntryID [32]byte
)

// The prefixes of the human forms.
const (
	identityPrefix = "eid1"
	devicePrefix   = "edv1"
	spacePrefix    = "esp1"
)

// String returns the human form: "eid1" and groups of eight characters
// joined by dashes, each ending in a check character.
func (id IdentityID) String() string { return identityPrefix + grouped(id[:]) }

// String returns the human form, with the prefix "edv1".
func (id DeviceID) String() string { return devicePrefix + grouped(id[:]) }

// String returns the human form, with the prefix "esp1".
func (id SpaceID) String() string { return spacePrefix + grouped(id[:]) }

// String returns 64 hexadecimal digits.
func (id FeedID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (id EpochID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (id CredentialID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (id EntryID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the prefix and ten characters: for people, not unique.
func (id IdentityID) Short() string { return short(identityPrefix, id[:]) }

// Short returns the prefix and ten characters: for people, not unique.
func (id DeviceID) Short() string { return short(devicePrefix, id[:]) }

// Short returns the prefix and ten characters: for people, not unique.
func (id SpaceID) Short() string { return short(spacePrefix, id[:]) }

// Short returns ten hexadecimal digits: for people, not unique.
func (id FeedID) Short() string { return hex.EncodeToString(id[:5]) }

// Short returns ten hexadecimal digits: for people, not unique.
func (id EpochID) Short() string { return hex.EncodeToString(id[:5]) }

// Short returns ten hexadecimal digits: for people, not unique.
func (id CredentialID) Short() string { return hex.EncodeToString(id[:5]) }

// Short returns ten hexadecimal digits: for people, not unique.
func (id EntryID) Short() string { return hex.EncodeToString(id[:5]) }

// IsZero reports whether id is the zero id, which names no identity.
func (id IdentityID) IsZero() bool { return id == IdentityID{} }

// IsZero reports whether id is the zero id, which names no device.
func (id DeviceID) IsZero() bool { return id == DeviceID{} }

// IsZero reports whether id is the zero id, which names no space.
func (id SpaceID) IsZero() bool { return id == SpaceID{} }

// IsZero reports whether id is the zero id, which names no entry: the
// predecessor of a feed's first.
func (id EntryID) IsZero() bool { return id == EntryID{} }

// IsZero reports whether id is the zero id, which names no epoch.
func (id EpochID) IsZero() bool { return id == EpochID{} }

// Compare orders ids by their bytes.
func (id CredentialID) Compare(other CredentialID) int { return bytes.Compare(id[:], other[:]) }

// ParseIdentityID reads the human form in either case, with or without dashes.
// It fails with ErrBadID.
func ParseIdentityID(s string) (id IdentityID, err error) {
	return id, parseHuman(id[:], identityPrefix, s)
}

// ParseDeviceID reads the human form as ParseIdentityID does.
func ParseDeviceID(s string) (id DeviceID, err error) {
	return id, parseHuman(id[:], devicePrefix, s)
}

// ParseSpaceID reads the human form as ParseIdentityID does.
func ParseSpaceID(s string) (id SpaceID, err error) {
	return id, parseHuman(id[:], spacePrefix, s)
}

// ParseFeedID reads 64 hexadecimal digits. It fails with ErrBadID.
func ParseFeedID(s string) (id FeedID, err error) { return id, parseHex(id[:], s) }

// ParseEpochID reads 64 hexadecimal digits. It fails with ErrBadID.
func ParseEpochID(s string) (id EpochID, err error) { return id, parseHex(id[:], s) }

// ParseCredentialID reads 64 hexadecimal digits. It fails with ErrBadID.
func ParseCredentialID(s string) (id CredentialID, err error) { return id, parseHex(id[:], s) }

// ParseEntryID reads 64 hexadecimal digits. It fails with ErrBadID.
func ParseEntryID(s string) (id EntryID, err error) { return id, parseHex(id[:], s) }

func short(prefix string, id []byte) string {
	out := []byte(prefix)
	for _, d := range crockfordDigits(id)[:10] {
		out = append(out, crockfordAlphabet[d])
	}
	return string(out)
}

func parseHuman(dst []byte, prefix, s string) error {
	s = strings.TrimSpace(s)
	if len(s) > 128 || len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return fmt.Errorf("%q: no %s…: %w", clip(s), prefix, ErrBadID)
	}
	b, wrong := ungrouped(s[len(prefix):])
	if wrong > 0 {
		return fmt.Errorf("%q: group %d is mistyped: %w", s, wrong, ErrBadID)
	}
	if len(b) != len(dst) {
		return fmt.Errorf("%q: incomplete: %w", s, ErrBadID)
	}
	copy(dst, b)
	return nil
}

func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%q: not %d hexadecimal digits: %w", clip(s), 2*len(dst), ErrBadID)
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("%q: not hexadecimal: %w", s, ErrBadID)
	}
	return nil
}

// clip bounds what an error repeats of its input.
func clip(s string) string { return s[:min(len(s), 128)] }

// PublicID returns the id by which other ECHO software names what key stands
// for: "B" and the base32 form (RFC 4648, upper case, no padding) of the first
// 20 bytes of the key's SHA-256.
func PublicID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "B" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])
}

// DID returns the decentralized identifier of an identity by its root key.
func DID(root ed25519.PublicKey) string { return "did:halo:" + PublicID(root) }
