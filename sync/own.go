package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/wire"
)

// In the space of an identity's devices each tells the others which spaces it
// has. Who has one that another lacks grants it the keys and sends it the
// space's credentials: with these the other opens the space, and finds the
// members by itself.

// spaces tells all spaces that the sender has open, in pieces.
type spaces struct {
	IDs  []halo.SpaceID `cbor:"1,keyasint"`
	More bool           `cbor:"2,keyasint,omitempty"`
	// Meeting is the secret by which the devices are met with the phrase, if the
	// sender knows it.
	Meeting []byte `cbor:"3,keyasint,omitempty"`
}

// share hands over a space, in pieces.
type share struct {
	Space halo.SpaceID `cbor:"1,keyasint"`
	Name  string       `cbor:"2,keyasint"` // as the sender calls it
	Raw   [][]byte     `cbor:"3,keyasint"` // credentials, parents first
	More  bool         `cbor:"4,keyasint,omitempty"`
}

// Limits of what a device of the own identity may make this one hold.
const (
	maxOwnSpaces  = 1 << 12   // spaces it may tell of
	maxShare      = 256 << 20 // bytes of credentials of one space
	maxShares     = 8         // spaces that wait to be opened
	maxShareName  = 256       // bytes
	shareAgain    = time.Minute
	spacesPerPart = 1024
)

func (spaces) kind() kind { return kindSpaces }
func (share) kind() kind  { return kindShare }

func (m spaces) check() error {
	if n := len(m.Meeting); n != 0 && n != 32 {
		return fmt.Errorf("meeting secret of %d bytes: %w", n, wire.ErrMalformed)
	}
	return atMost(len(m.IDs), spacesPerPart, "spaces")
}

func (m share) check() error {
	if err := atMost(len(m.Name), maxShareName, "bytes of a name"); err != nil {
		return err
	}
	if len(m.Raw) == 0 && m.More {
		return fmt.Errorf("share of nothing: %w", wire.ErrMalformed)
	}
	return noneEmpty(m.Raw)
}

// allSpaces returns the spaces of a vault, and that of its devices.
func allSpaces(repo Repo) []Space {
	list := repo.Spaces()
	if own, ok := repo.OwnSpace(); ok {
		list = append(list, own)
	}
	return list
}

// ownPeer is what a session with another device of the own identity has beside.
type ownPeer struct {
	p    *peer
	wake chan struct{} // one slot

	mu      sync.Mutex // guards the below
	telling []halo.SpaceID
	theirs  map[halo.SpaceID]bool // nil until it has told
	turn    bool                  // it may be sent a space: it has told since the last
	arrived []share               // complete, to be opened
	coming  share                 // whose pieces are still coming
	size    int                   // bytes of both
}

func newOwnPeer(p *peer) *ownPeer { return &ownPeer{p: p, wake: make(chan struct{}, 1)} }

// handleSpaces takes note of which spaces the other device has.
func (p *peer) handleSpaces(m spaces) error {
	if p.own == nil {
		return fault("spaces outside of the devices' own space")
	}
	if err := p.keepMeeting(m.Meeting); err != nil {
		return err
	}
	o := p.own
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.telling = append(o.telling, m.IDs...); len(o.telling) > maxOwnSpaces {
		return fault("a device with %d spaces", len(o.telling))
	}
	if m.More {
		return nil
	}
	o.theirs = make(map[halo.SpaceID]bool, len(o.telling))
	for _, id := range o.telling {
		o.theirs[id] = true
	}
	o.telling, o.turn = nil, true
	poke(o.wake)
	return nil
}

// keepMeeting keeps what another device knew of how devices are met with the
// phrase.
func (p *peer) keepMeeting(b []byte) error {
	if len(b) == 0 || !p.x.repo.Meeting().IsZero() || !p.isReady() {
		return nil
	}
	secret, err := halo.NewSecret(b)
	if err != nil {
		return fault("meeting secret: %v", err)
	}
	if err := p.x.repo.KeepMeeting(secret); err != nil {
		p.logger.Warn("the secret of recoveries is not kept", "err", err)
	}
	return nil
}

// handleShare collects a space that is handed over.
func (p *peer) handleShare(m share) error {
	if p.own == nil {
		return fault("a space outside of the devices' own space")
	}
	o := p.own
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.coming.Space.IsZero() && o.coming.Space != m.Space {
		return fault("two spaces at a time")
	}
	for _, b := range m.Raw {
		o.size += len(b)
	}
	if o.size > maxShare || len(o.arrived) >= maxShares {
		return fault("%d spaces of %d bytes that nobody asked for", len(o.arrived), o.size)
	}
	o.coming.Space, o.coming.Name, o.coming.Raw = m.Space, m.Name, append(o.coming.Raw, m.Raw...)
	if m.More {
		return nil
	}
	o.arrived, o.coming = append(o.arrived, o.coming), share{}
	poke(o.wake)
	return nil
}

// run hands over what the other device lacks, and opens what it hands over.
func (o *ownPeer) run(ctx context.Context) error {
	changes := o.p.x.repo.Changes()
	defer changes.Close()
	again := time.NewTicker(shareAgain)
	defer again.Stop()
	var told []halo.SpaceID
	shared := make(map[halo.SpaceID]time.Time)
	for {
		if o.p.isReady() {
			opened, err := o.open(ctx)
			if err != nil {
				return err
			}
			mine := o.mine()
			if opened || told == nil || !slices.Equal(mine, told) {
				if err := o.tell(mine); err != nil {
					return err
				}
				told = mine
			}
			if err := o.share(ctx, mine, shared); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.wake:
		case <-changes.C():
			changes.Take()
		case <-again.C:
		}
	}
}

// missing returns how many spaces the other device has that this one has not
// opened; 0 for none.
func (o *ownPeer) missing() (n uint64) {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.theirs {
		if _, open := o.p.x.repo.SpaceByID(id); !open {
			n++
		}
	}
	return n
}

// mine returns the spaces of this device, sorted.
func (o *ownPeer) mine() []halo.SpaceID {
	out := []halo.SpaceID{}
	for _, s := range o.p.x.repo.Spaces() {
		out = append(out, s.ID())
	}
	slices.SortFunc(out, func(a, b halo.SpaceID) int { return slices.Compare(a[:], b[:]) })
	return out[:min(len(out), maxOwnSpaces)]
}

func (o *ownPeer) tell(mine []halo.SpaceID) error {
	for {
		n := min(len(mine), spacesPerPart)
		m := spaces{IDs: mine[:n], More: n < len(mine), Meeting: o.p.x.repo.Meeting().Bytes()}
		if err := sendMessage(o.p.session, m); err != nil || !m.More {
			return err
		}
		mine = mine[n:]
	}
}

// share hands over a space that the other device has not told of: one, and the
// next when it has told again, so that it never has many to open.
func (o *ownPeer) share(ctx context.Context, mine []halo.SpaceID, shared map[halo.SpaceID]time.Time) error {
	for _, id := range mine {
		o.mu.Lock()
		lacks := o.turn && !o.theirs[id] && time.Since(shared[id]) >= shareAgain
		o.turn = o.turn && !lacks
		o.mu.Unlock()
		if lacks {
			shared[id] = time.Now()
			return o.handOver(ctx, id)
		}
	}
	return nil
}

// handOver grants the other device the keys of a space and sends it what it
// needs to open it. That the grant is not ours to make ends nothing: another
// device may make it.
func (o *ownPeer) handOver(ctx context.Context, id halo.SpaceID) error {
	p := o.p
	s, ok := p.x.repo.SpaceByID(id)
	if !ok {
		return nil
	}
	if err := p.x.repo.ShareWith(ctx, id, p.remote.Device); err != nil {
		p.logger.Warn("a space is not handed over", "other", id.Short(), "err", err)
		return ctx.Err()
	}
	raw, err := s.Credentials()
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	name := s.Name()
	if len(name) > maxShareName {
		name = ""
	}
	for {
		n, size := 0, 0
		for n < len(raw) && (n == 0 || size+len(raw[n]) <= credentialsSize) {
			size += len(raw[n])
			n++
		}
		m := share{Space: id, Name: name, Raw: raw[:n], More: n < len(raw)}
		if err := sendMessage(p.session, m); err != nil || !m.More {
			return err
		}
		raw = raw[n:]
	}
}

// open opens the spaces that were handed over, and reports whether there were
// any.
func (o *ownPeer) open(ctx context.Context) (any bool, err error) {
	for {
		o.mu.Lock()
		if len(o.arrived) == 0 {
			o.mu.Unlock()
			return any, nil
		}
		any = true
		m := o.arrived[0]
		o.arrived = o.arrived[1:]
		for _, b := range m.Raw {
			o.size -= len(b)
		}
		o.mu.Unlock()
		name := m.Name
		if name == "" {
			name = m.Space.Short()
		}
		_, err := o.p.x.repo.Join(ctx, m.Space, name, m.Raw)
		if err != nil && o.p.x.repo.IsPeerFault(err) {
			return any, fmt.Errorf("%w: a space that cannot be opened: %w", ErrPeerFault, err)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			o.p.logger.Warn("a space of another device is not opened", "other", m.Space.Short(), "err", err)
		}
	}
}
