package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
	"echofs/sync/wire"
)

// A relay is a member that stores and hands on what it cannot read. For the
// exchange it is a member as any other, with two differences: which chunks there
// are it is told by the others (chunkNames), since entries are sealed for it; and
// it keeps no more than its quota, and says so (noRoom).

// RelaySpace is what a space has that can be kept by relays, or for others.
type RelaySpace interface {
	// Relays reports whether this device is a relay of the space.
	Relays() bool
	// LiveChunks calls fn with the addresses of the chunks that count, some at a
	// time: of all for the cursor 0, else of what is new since the cursor was
	// returned.
	LiveChunks(ctx context.Context, cursor uint64, fn func([][32]byte) error) (next uint64, err error)
	// NameChunks takes note, at a relay, of chunks that count. The error is one
	// that RoomKeeper knows where not all are taken.
	NameChunks(device halo.DeviceID, list [][32]byte) error
}

// RoomKeeper is a Repo that bounds what it keeps for others.
type RoomKeeper interface {
	// IsNoRoom reports whether an error of Ingest, PutChunk or NameChunks says that
	// the bound is reached. Nobody is to blame for it.
	IsNoRoom(error) bool
}

// AckKeeper is a Space that remembers what devices have ever acknowledged.
type AckKeeper interface {
	Acked(halo.DeviceID) Vector
}

// FloorKeeper is a Space that remembers what the host of its invitation had.
type FloorKeeper interface {
	SetFloor(Vector) error
}

const (
	maxChunkNames = 256              // chunks in one message
	nameRate      = 4096             // chunks a second that a peer may name
	nameBurst     = 1 << 18          // and at once
	nameAgain     = 6 * time.Hour    // after which all that counts is named again
	noRoomEvery   = 10 * time.Second // between two times that a peer is told of it
	noRoomWait    = 5 * time.Minute  // until what was refused is asked for again
)

// chunkNames tells a relay which chunks count.
type chunkNames struct {
	Addresses [][32]byte `cbor:"1,keyasint"`
}

// noRoom tells that the sender keeps no more, since its quota is used up.
type noRoom struct {
	Chunks bool `cbor:"1,keyasint,omitempty"` // of chunks; else of entries
}

func (chunkNames) kind() kind { return kindChunkNames }
func (noRoom) kind() kind     { return kindNoRoom }

func (m chunkNames) check() error {
	if len(m.Addresses) == 0 {
		return fmt.Errorf("no chunks are named: %w", wire.ErrMalformed)
	}
	return atMost(len(m.Addresses), maxChunkNames, "chunks")
}

func (m noRoom) check() error { return nil }

// role returns the role of the peer in this device's view.
func (p *peer) role() halo.Role { return p.x.space.State().Role(p.remote.Identity) }

// name tells the peer, as long as it is a relay, which chunks count, until ctx
// ends.
func (c *chunkPeer) name(ctx context.Context) error {
	space, ok := c.space.(RelaySpace)
	cursor, all := uint64(0), time.Now()
	for {
		if ok && c.p.isReady() && c.p.role() == halo.RoleRelay && !space.Relays() {
			if time.Since(all) > nameAgain {
				cursor, all = 0, time.Now()
			}
			next, err := space.LiveChunks(ctx, cursor, c.sendNames)
			switch {
			case errors.Is(err, errNames):
				return err
			case err != nil && ctx.Err() == nil:
				c.p.logger.Warn("cannot tell a relay which chunks count", "err", err)
			}
			cursor = next
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.naming:
		}
	}
}

// errNames: the session is over.
var errNames = errors.New("name chunks")

func (c *chunkPeer) sendNames(list [][32]byte) error {
	for piece := range slices.Chunk(list, maxChunkNames) {
		if err := sendMessage(c.p.session, chunkNames{Addresses: piece}); err != nil {
			return fmt.Errorf("%w: %w", errNames, err)
		}
	}
	return nil
}

// handleNames takes note of chunks that count.
func (p *peer) handleNames(m chunkNames) error {
	space, ok := p.x.space.(RelaySpace)
	if !ok || !space.Relays() || !p.named.AllowN(time.Now(), len(m.Addresses)) {
		return nil
	}
	err := space.NameChunks(p.remote.Device, m.Addresses)
	if err != nil && !p.full(err, true) {
		p.logger.Warn("cannot take note of chunks", "err", err)
	}
	return nil
}

// full reports whether an error is that no more is kept here, and lets the peer
// know.
func (p *peer) full(err error, chunks bool) bool {
	keeper, ok := p.x.repo.(RoomKeeper)
	if !ok || !keeper.IsNoRoom(err) {
		return false
	}
	p.mu.Lock()
	due := time.Since(p.toldFull) > noRoomEvery
	if due {
		p.toldFull = time.Now()
	}
	p.mu.Unlock()
	if due {
		p.logger.Info("no more is kept for others", "err", err)
		p.post(noRoom{Chunks: chunks})
	}
	return true
}

// handleNoRoom takes note that the peer keeps no more.
func (p *peer) handleNoRoom() {
	p.mu.Lock()
	p.noRoom = time.Now()
	p.mu.Unlock()
}

// compareAck notes how much the peer holds no more of what it once acknowledged,
// when it has told what it holds. Positions never go back: a peer that shows less
// was restored from an old copy, or lies.
func (p *peer) compareAck() {
	keeper, ok := p.x.space.(AckKeeper)
	if !ok {
		return
	}
	before := keeper.Acked(p.remote.Device)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compared {
		return
	}
	p.compared = true
	if p.lost = before.behind(p.acked); p.lost > 0 {
		p.logger.Warn("a device shows less than it had acknowledged", "entries", p.lost)
	}
}
