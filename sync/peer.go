package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"echofs/halo"
	"echofs/sync/session"
)

// peer is one session with another device about one space. Its goroutines:
//
//	readControl  handles what comes on the control lane, in order
//	readBulk     puts what comes on the bulk lane into the inbox
//	apply        ingests what is in the inbox
//	speak        calls evaluate after every change and sends what it says
//	serve        answers wants on the bulk lane
//	watch        ends the session when nothing is heard any more
//	own.run      in the own space: hands over spaces that the other device lacks
//
// All end when the session ends, by whatever cause.
type peer struct {
	x       *exchange
	session *session.Session
	remote  hello
	logger  *slog.Logger
	cancel  context.CancelCauseFunc
	wake    chan struct{} // one slot: evaluate
	serving chan struct{} // one slot: there are wants
	inbox   *inbox
	pushes  *rate.Limiter // entries that came without being asked for
	budget  *rate.Limiter // bytes of credentials
	bulk    *rate.Limiter // bytes of the bulk lane
	carries *rate.Limiter // boxes for other members
	vouches *rate.Limiter // acknowledgements of other members
	named   *rate.Limiter // chunks that it says count

	presences *rate.Limiter // of what it has open
	began     time.Time
	onReady   func(*peer) // called once, when the peer is known to be a member
	own       *ownPeer    // nil outside of the own space
	chunks    *chunkPeer  // nil for a space without blobs

	mu sync.Mutex // guards the below
	// What the peer holds and knows.
	theirs     Vector              // what it said it holds
	theirHeads []halo.CredentialID // the credentials it said it holds
	knows      map[[32]byte]bool   // credentials it sent or was sent, by hash
	acked      Vector              // what it said it holds durably
	// What it was told.
	told      Vector // by vector or entries
	pushed    Vector // by entries on the control lane
	toldAck   Vector
	toldHeads []halo.CredentialID
	settled   settled
	// What is to be answered.
	wants   []want
	pongDue uint64 // 0 for none
	// What is told of other members.
	waysDue  bool
	toldWays []route
	saidWays []route   // what the peer told last
	waysAt   time.Time // not to be told before
	out      []message
	vouchers []voucher // to be handed on
	early    []voucher // that came before the peer was known to be a member
	// How it stands.
	ready     bool // a member in this device's view
	probation int  // bytes of credentials taken before that
	heard     time.Time
	retry     map[halo.FeedID]time.Time    // not to be fetched before
	rewinds   map[halo.FeedID]*rewind      // asked for again (fork.go)
	forkTried map[halo.FeedID]halo.EntryID // with which end of the peer's a feed was compared
	pinged    uint64
	pingedAt  time.Time
	rtt       time.Duration
	compared  bool      // what it holds with what it had acknowledged
	lost      uint64    // entries that it had acknowledged and did not hold when it connected
	noRoom    time.Time // when it said last that it keeps no more
	toldFull  time.Time // when it was told that

	presenceDue bool
	presenceAt  time.Time // when it was told last what is open here
	theirOpen   []openObject
	theirOpenAt time.Time
}

// settled is for which heads of both sides credentials were last compared.
type settled struct {
	done         bool
	mine, theirs []halo.CredentialID
}

func (s settled) is(mine, theirs []halo.CredentialID) bool {
	return s.done && sameHeads(s.mine, mine) && sameHeads(s.theirs, theirs)
}

// greet exchanges hellos. The space and the device that is expected, if any,
// must be the peer's.
func greet(ctx context.Context, s *session.Session, mine hello, expect halo.DeviceID) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := sendMessage(s, mine); err != nil {
		return hello{}, err
	}
	m, err := receiveMessage(s, session.Control)
	if err != nil {
		return hello{}, err
	}
	switch theirs := m.(type) {
	case hello:
		return theirs, checkHello(theirs, mine, expect)
	case bye:
		return hello{}, theirs.err()
	}
	return hello{}, fault("no hello")
}

func checkHello(theirs, mine hello, expect halo.DeviceID) error {
	switch {
	case theirs.Space != mine.Space:
		return fault("hello for another space")
	case theirs.Device == mine.Device:
		return fault("hello from this very device")
	case !expect.IsZero() && theirs.Device != expect:
		return fault("hello from another device than was met")
	}
	return nil
}

func sendMessage(s *session.Session, m message) error {
	b, err := encodeMessage(m)
	if err != nil {
		return err
	}
	return s.Send(session.Control, b)
}

func receiveMessage(s *session.Session, l session.Lane) (message, error) {
	for {
		b, err := s.Receive(l)
		if err != nil {
			return nil, err
		}
		m, err := decodeMessage(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPeerFault, err)
		}
		if m != nil {
			return m, nil
		}
	}
}

// hello returns what this device says first.
func (x *exchange) hello() hello {
	h := hello{
		Device: x.repo.DeviceID(), Identity: x.repo.IdentityID(), Space: x.space.ID(),
		Heads: x.space.CredentialHeads(), Instance: x.instance,
	}
	h.Heads = h.Heads[:min(len(h.Heads), maxHeads)]
	return h
}

// run exchanges with whoever is at the other end of s until one side ends it,
// and returns why. It owns s. ready, unless nil, is called once, when the peer
// is known to be a member.
func (x *exchange) run(ctx context.Context, s *session.Session, expect halo.DeviceID, ready func(*peer)) error {
	defer s.Close()
	mine := x.hello()
	remote, err := greet(ctx, s, mine, expect)
	if err != nil {
		if errors.Is(err, ErrPeerFault) {
			farewell(s, err)
		}
		return err
	}
	p := newPeer(x, s, mine, remote, ready)
	return p.run(ctx)
}

func newPeer(x *exchange, s *session.Session, mine, remote hello, ready func(*peer)) *peer {
	p := &peer{
		x: x, session: s, remote: remote, onReady: ready,
		logger: x.logger.With("space", x.space.ID().Short(), "device", remote.Device.Short()),
		wake:   make(chan struct{}, 1), serving: make(chan struct{}, 1), inbox: newInbox(maxBacklog),
		pushes:  rate.NewLimiter(pushRate/60.0, pushRate),
		budget:  rate.NewLimiter(credentialBudget/3600.0, credentialBudget),
		bulk:    rate.NewLimiter(inRate, inBurst),
		carries: rate.NewLimiter(carryRate, carryBurst),
		vouches: rate.NewLimiter(vouchRate, vouchBurst),
		named:   rate.NewLimiter(nameRate, nameBurst),

		presences: rate.NewLimiter(presenceRate, presenceBurst),
		began:     time.Now(), heard: time.Now(),
		theirs: Vector{}, acked: Vector{}, pushed: Vector{}, toldAck: Vector{},
		theirHeads: remote.Heads, toldHeads: mine.Heads, waysDue: true,
		knows: make(map[[32]byte]bool), retry: make(map[halo.FeedID]time.Time),
		rewinds: make(map[halo.FeedID]*rewind), forkTried: make(map[halo.FeedID]halo.EntryID),
	}
	if own, ok := x.repo.OwnSpace(); ok && own.ID() == x.space.ID() {
		p.own = newOwnPeer(p)
	}
	p.chunks = newChunkPeer(p)
	return p
}

func (p *peer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.cancel = cancel
	p.x.enter(p)
	defer p.x.leave(p)
	var wg sync.WaitGroup
	heard := make(chan struct{})
	wg.Go(func() {
		defer close(heard)
		cancel(p.readControl(ctx))
	})
	wg.Go(func() { cancel(p.readBulk(ctx)) })
	wg.Go(func() { cancel(p.apply(ctx)) })
	wg.Go(func() { cancel(p.speak(ctx)) })
	wg.Go(func() { cancel(p.serve(ctx)) })
	wg.Go(func() { cancel(p.watch(ctx)) })
	if p.chunks != nil {
		wg.Go(func() { cancel(p.chunks.run(ctx)) })
	}
	if p.own != nil {
		wg.Go(func() { cancel(p.own.run(ctx)) })
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	p.part(cause, heard)
	_ = p.session.Close()
	p.inbox.close()
	wg.Wait()
	p.x.space.Seen(p.remote.Device, p.lastHeard())
	return cause
}

// end ends the session for a reason.
func (p *peer) end(cause error) { p.cancel(cause) }

// byeWait is how long an end waits for the other to have heard its bye.
const byeWait = 300 * time.Millisecond

// part tells the peer why, unless it was the peer who left.
func (p *peer) part(cause error, heard <-chan struct{}) {
	var left *byeError
	if errors.As(cause, &left) || errors.Is(cause, ErrSilent) {
		return
	}
	select {
	case <-heard:
		return // nobody would read it
	default:
	}
	go func() {
		p.sendNotice()
		farewell(p.session, cause)
	}()
	t := time.NewTimer(byeWait)
	defer t.Stop()
	select {
	case <-heard:
	case <-t.C:
	}
}

// farewell sends a bye. It returns at the latest when s is closed.
func farewell(s *session.Session, cause error) { _ = sendMessage(s, byeFor(cause)) }

// byeFor returns what a peer is told. It gets no details of errors of ours.
func byeFor(cause error) bye {
	switch {
	case errors.Is(cause, ErrNotMember):
		return bye{byeForbidden, "not a member"}
	case errors.Is(cause, ErrReplaced):
		return bye{byeReplaced, "replaced"}
	case errors.Is(cause, ErrPeerFault):
		return bye{byeMalformed, "protocol violation"}
	case errors.Is(cause, errTooMany):
		return bye{byeTooMany, "too many connections"}
	case errors.Is(cause, context.Canceled):
		return bye{byeLeaving, "leaving"}
	}
	return bye{byeTrouble, "trouble"}
}

// byeError is that the peer ended the session.
type byeError struct {
	code   uint64
	reason string
}

func (m bye) err() error { return &byeError{m.Code, m.Reason} }

// Error returns what the peer said, quoted.
func (e *byeError) Error() string {
	return fmt.Sprintf("peer ended the session: %d %q", e.code, e.reason)
}

// Is makes a 403 an ErrRefused.
func (e *byeError) Is(target error) bool { return target == ErrRefused && e.code == byeForbidden }

// sendNotice lets a removed member know that and by whom it was removed.
func (p *peer) sendNotice() {
	if _, member := p.x.space.State().Member(p.remote.Identity, p.remote.Device); member {
		return
	}
	if raw, removed := p.x.removal(p.remote); removed && len(raw) > 0 {
		_ = sendMessage(p.session, credentials{Raw: raw})
	}
}

func (p *peer) lastHeard() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// post queues a message of another member, unless too many wait.
func (p *peer) post(m message) {
	p.mu.Lock()
	if len(p.out) < maxOut {
		p.out = append(p.out, m)
	}
	p.mu.Unlock()
	poke(p.wake)
}

// speak sends what evaluate says, after every change and at least every
// pingEvery.
func (p *peer) speak(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	seen := time.Time{}
	for {
		list, err := p.evaluate(ctx)
		for _, m := range list {
			if err := sendMessage(p.session, m); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
			continue
		case <-tick.C:
		}
		if err := p.beat(&seen); err != nil {
			return err
		}
	}
}

// beat is what happens every pingEvery.
func (p *peer) beat(seen *time.Time) error {
	now := time.Now()
	p.mu.Lock()
	heard := p.heard
	p.pinged++
	p.pingedAt = now
	n := p.pinged
	p.mu.Unlock()
	if now.Sub(*seen) > seenEvery {
		p.x.space.Seen(p.remote.Device, heard)
		*seen = now
	}
	return sendMessage(p.session, ping{N: n})
}

// watch is apart from speak, which may be waiting for a peer that does not read
// any more.
func (p *peer) watch(ctx context.Context) error {
	tick := time.NewTicker(silence / 7)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if quiet := time.Since(p.lastHeard()); quiet > silence {
			return fmt.Errorf("nothing for %v: %w", quiet.Round(time.Second), ErrSilent)
		}
	}
}

// serve answers wants, a message of each in turn.
func (p *peer) serve(ctx context.Context) error {
	for {
		w, ok := p.nextWant()
		if !ok {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.serving:
			}
			continue
		}
		m, err := p.answer(&w)
		if err != nil {
			return err
		}
		b, err := encodeMessage(m)
		if err != nil {
			return err
		}
		if err := p.session.Send(session.Bulk, b); err != nil {
			return err
		}
		if !m.Done {
			p.addWant(w)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (p *peer) nextWant() (want, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wants) == 0 {
		return want{}, false
	}
	w := p.wants[0]
	p.wants = p.wants[1:]
	return w, true
}

func (p *peer) addWant(w want) {
	p.mu.Lock()
	p.wants = append(p.wants, w)
	p.mu.Unlock()
	poke(p.serving)
}

// answer returns the next entries of a want and moves its start.
func (p *peer) answer(w *want) (entries, error) {
	list, err := p.x.space.Entries(w.Feed, w.From, entriesSize)
	if err != nil {
		return entries{}, fmt.Errorf("read entries: %w", err)
	}
	list = list[:min(uint64(len(list)), w.To-w.From, entriesCount)]
	m := entries{Feed: w.Feed, From: w.From, Raw: list}
	w.From += uint64(len(list))
	m.Done = w.From >= w.To || len(list) == 0
	return m, nil
}
