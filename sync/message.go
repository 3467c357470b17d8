package sync

import (
	"fmt"

	"echofs/halo"
	"echofs/sync/signal"
	"echofs/sync/wire"
)

// kind is the first byte of a message; the rest is the CBOR of its struct.
type kind uint8

const (
	kindHello kind = 1 + iota
	kindHeads
	kindCredentials
	kindVector
	kindAck
	kindWant
	kindEntries
	kindPing
	kindPong
	kindBye
)

// kindReserved is the first kind that a version may add. Unknown kinds from
// here on are ignored; unknown kinds below are a fault.
const kindReserved kind = 64

// The kinds that were added.
const (
	kindWays kind = kindReserved + iota
	kindCarry
	kindVoucher
	kindChunkNames
	kindNoRoom
	kindPresence
)

// Kinds of the exchange of chunks (chunks.go).
const (
	kindChunkWant kind = 96 + iota
	kindChunk
)

// Kinds that are spoken between the devices of one identity, in their own space.
const (
	kindSpaces kind = kindReserved + 16 + iota
	kindShare
)

// message is one of the structs below.
type message interface {
	kind() kind
	check() error
}

// hello is the first message in both directions.
type hello struct {
	Device   halo.DeviceID       `cbor:"1,keyasint"`
	Identity halo.IdentityID     `cbor:"2,keyasint"`
	Space    halo.SpaceID        `cbor:"3,keyasint"`
	Heads    []halo.CredentialID `cbor:"4,keyasint"`
	Features uint64              `cbor:"5,keyasint"`
	Instance [16]byte            `cbor:"6,keyasint"` // of the sending program
}

// heads tells which credentials the sender holds: these and their ancestors.
type heads struct {
	Heads []halo.CredentialID `cbor:"1,keyasint"`
}

// credentials are some that the receiver lacks, parents first.
type credentials struct {
	Raw [][]byte `cbor:"1,keyasint"`
}

// holding is a position in a message.
type holding struct {
	_    struct{} `cbor:",toarray"`
	Feed halo.FeedID
	Next uint64
	Last halo.EntryID
}

// vector tells positions that changed: of what the sender can send.
type vector struct {
	Feeds []holding `cbor:"1,keyasint"`
}

// ack tells positions that changed: of what the sender holds durably. More
// says that another ack belongs to this one.
type ack struct {
	Feeds []holding `cbor:"1,keyasint"`
	More  bool      `cbor:"2,keyasint,omitempty"`
}

// want asks for the entries of a feed from one number up to before another.
type want struct {
	Feed halo.FeedID `cbor:"1,keyasint"`
	From uint64      `cbor:"2,keyasint"`
	To   uint64      `cbor:"3,keyasint"`
}

// entries are contiguous entries of a feed. On the bulk lane they answer a
// want, whose end is Done; on the control lane they are fresh and unasked.
type entries struct {
	Feed halo.FeedID `cbor:"1,keyasint"`
	From uint64      `cbor:"2,keyasint"`
	Raw  [][]byte    `cbor:"3,keyasint"`
	Done bool        `cbor:"4,keyasint,omitempty"`
}

// ping asks for a pong with the same number.
type ping struct {
	N uint64 `cbor:"1,keyasint"`
}

type pong struct {
	N uint64 `cbor:"1,keyasint"`
}

// bye ends the session.
type bye struct {
	Code   uint64 `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint"`
}

// ways tells which devices the sender reaches, all of them, apart from those it
// reaches through the receiver.
type ways struct {
	List []route `cbor:"1,keyasint"`
}

// carry is a sealed box of a signaling topic on its way from member to member.
type carry struct {
	Topic signal.Topic  `cbor:"1,keyasint"`
	From  signal.PeerID `cbor:"2,keyasint"` // the number of the sending program
	To    signal.PeerID `cbor:"3,keyasint"`
	Hops  uint8         `cbor:"4,keyasint"` // members that had it
	Box   []byte        `cbor:"5,keyasint"`
}

// The codes of a bye.
const (
	byeLeaving   = 200 // the program stops, or the user wants to be offline
	byeReplaced  = 205 // a newer session takes the place
	byeMalformed = 400 // the peer is at fault
	byeForbidden = 403 // no member
	byeTooMany   = 429 // no room for another session
	byeTrouble   = 500 // something went wrong here; try again
)

func (hello) kind() kind       { return kindHello }
func (heads) kind() kind       { return kindHeads }
func (credentials) kind() kind { return kindCredentials }
func (vector) kind() kind      { return kindVector }
func (ack) kind() kind         { return kindAck }
func (want) kind() kind        { return kindWant }
func (entries) kind() kind     { return kindEntries }
func (ping) kind() kind        { return kindPing }
func (pong) kind() kind        { return kindPong }
func (bye) kind() kind         { return kindBye }
func (ways) kind() kind        { return kindWays }
func (carry) kind() kind       { return kindCarry }

func atMost(n, limit int, what string) error {
	if n > limit {
		return fmt.Errorf("%d %s: %w", n, what, wire.ErrMalformed)
	}
	return nil
}

func (m hello) check() error       { return atMost(len(m.Heads), maxHeads, "heads") }
func (m heads) check() error       { return atMost(len(m.Heads), maxHeads, "heads") }
func (m credentials) check() error { return noneEmpty(m.Raw) }
func (m vector) check() error      { return atMost(len(m.Feeds), maxVectorFeeds, "feeds") }
func (m ack) check() error         { return atMost(len(m.Feeds), maxVectorFeeds, "feeds") }
func (m ping) check() error        { return nil }
func (m pong) check() error        { return nil }
func (m bye) check() error         { return atMost(len(m.Reason), maxReason, "bytes of reason") }

func (m ways) check() error { return atMost(len(m.List), maxRoutes, "ways") }

func (m carry) check() error {
	if len(m.Box) == 0 {
		return fmt.Errorf("empty box: %w", wire.ErrMalformed)
	}
	return atMost(len(m.Box), signal.MaxBox, "bytes in a box")
}

func (m want) check() error {
	if m.From >= m.To {
		return fmt.Errorf("want from %d to %d: %w", m.From, m.To, wire.ErrMalformed)
	}
	return nil
}

func (m entries) check() error {
	if m.From+uint64(len(m.Raw)) < m.From {
		return fmt.Errorf("entries from %d: %w", m.From, wire.ErrMalformed)
	}
	return noneEmpty(m.Raw)
}

func noneEmpty(list [][]byte) error {
	for _, b := range list {
		if len(b) == 0 {
			return fmt.Errorf("empty item: %w", wire.ErrMalformed)
		}
	}
	return nil
}

// encodeMessage returns the bytes of m.
func encodeMessage(m message) ([]byte, error) {
	body, err := wire.Encode(m)
	if err != nil {
		return nil, err
	}
	return append([]byte{byte(m.kind())}, body...), nil
}

// decodeMessage reads the bytes of a message, whose size the session bounds. It
// returns nil without an error for kinds of later versions.
func decodeMessage(b []byte) (message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("empty message: %w", wire.ErrMalformed)
	}
	k, body := kind(b[0]), b[1:]
	switch k {
	case kindHello:
		return decodeAs[hello](body)
	case kindHeads:
		return decodeAs[heads](body)
	case kindCredentials:
		return decodeAs[credentials](body)
	case kindVector:
		return decodeAs[vector](body)
	case kindAck:
		return decodeAs[ack](body)
	case kindChunkWant:
		return decodeAs[chunkWant](body)
	case kindChunk:
		return decodeAs[chunk](body)
	case kindWant:
		return decodeAs[want](body)
	case kindEntries:
		return decodeAs[entries](body)
	case kindPing:
		return decodeAs[ping](body)
	case kindPong:
		return decodeAs[pong](body)
	case kindBye:
		return decodeAs[bye](body)
	case kindWays:
		return decodeAs[ways](body)
	case kindCarry:
		return decodeAs[carry](body)
	case kindSpaces:
		return decodeAs[spaces](body)
	case kindShare:
		return decodeAs[share](body)
	case kindVoucher:
		return decodeAs[voucher](body)
	case kindChunkNames:
		return decodeAs[chunkNames](body)
	case kindNoRoom:
		return decodeAs[noRoom](body)
	case kindPresence:
		return decodeAs[presence](body)
	}
	if k >= kindReserved {
		return nil, nil
	}
	return nil, fmt.Errorf("message of kind %d: %w", k, wire.ErrMalformed)
}

func decodeAs[M message](body []byte) (message, error) {
	var m M
	if err := wire.Decode(body, &m); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// holdings returns v in pieces that fit a message.
func (v Vector) holdings() (out [][]holding) {
	var piece []holding
	for _, feed := range v.feeds() {
		if len(piece) == maxVectorFeeds {
			out, piece = append(out, piece), nil
		}
		piece = append(piece, holding{Feed: feed, Next: v[feed].Next, Last: v[feed].Last})
	}
	if len(piece) > 0 {
		out = append(out, piece)
	}
	return out
}

func vectorOf(list []holding) Vector {
	v := make(Vector, len(list))
	for _, h := range list {
		v[h.Feed] = Position{Next: h.Next, Last: h.Last}
	}
	return v
}
