package lan

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/pion/mdns/v2"
)

// Service is the service type in DNS service discovery.
const Service = "_echofs._tcp"

// Tag is what is announced in place of a topic.
type Tag [8]byte

// TagOf returns the tag of a topic.
func TagOf(topic [20]byte) (t Tag) {
	sum := sha256.Sum256(append([]byte("echofs/v1/lan\x00"), topic[:]...))
	copy(t[:], sum[:])
	return t
}

// String returns the tag in hexadecimal.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// MaxTags is how many tags are announced: as many as fit a datagram that no
// network has to fragment. More are left out.
const MaxTags = 120

const (
	tagKey      = "t"
	tagsPerText = 30 // an attribute has at most 255 bytes
)

// encodeTags returns the attributes for tags, which it sorts: their order is
// nobody's business.
func encodeTags(tags []Tag) (out []mdns.TXTEntry) {
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b Tag) int { return slices.Compare(a[:], b[:]) })
	tags = slices.Compact(tags)
	for part := range slices.Chunk(tags[:min(len(tags), MaxTags)], tagsPerText) {
		var value []byte
		for _, t := range part {
			value = append(value, t[:]...)
		}
		out = append(out, mdns.NewTXTBinary(tagKey+string(rune('0'+len(out))), value))
	}
	return out
}

// decodeTags reads what anybody may have sent.
func decodeTags(entries []mdns.TXTEntry) (tags []Tag) {
	for _, e := range entries {
		if len(e.Key) != 2 || e.Key[:1] != tagKey {
			continue
		}
		for part := range slices.Chunk(e.Value, len(Tag{})) {
			if len(part) == len(Tag{}) && len(tags) < MaxTags {
				tags = append(tags, Tag(part))
			}
		}
	}
	return tags
}
