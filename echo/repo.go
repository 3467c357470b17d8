package echo

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"echofs/echo/blob"
	"echofs/halo"
)

// Defaults of Options.
const (
	DefaultSettleDelay = time.Second     // names that are kept for less are temporary files
	DefaultRemoveGrace = 2 * time.Second // editors re-create a file within 50 ms
)

// Keys are the secrets of the vault's device and of the epochs of its spaces.
type Keys interface {
	// Device returns the keys of this device.
	Device() *halo.DeviceKeys
	// EpochKeys returns the keys this device has of a space.
	EpochKeys(space SpaceID) []halo.EpochKey
	// AddEpochKey keeps a key durably; one that is there already is no error.
	AddEpochKey(space SpaceID, k halo.EpochKey) error
}

// Options are what a Repo is made of.
type Options struct {
	Store  Store
	Engine Engine
	Keys   Keys
	// Chunks opens the store of the chunks of a space's blobs; nil keeps them in
	// memory, for tests.
	Chunks func(SpaceID) (blob.Store, error)

	// NameKey hides the names in the keys of the store; zero leaves them. A store
	// must always be opened with the same.
	NameKey halo.Secret

	// Identity is the identity's credentials, genesis first. They are stored at
	// the first Open and may be left out later.
	Identity [][]byte
	// DeviceName and IdentityName are shown to people on this machine and, sealed,
	// to members of the spaces.
	DeviceName, IdentityName string

	SettleDelay time.Duration    // DefaultSettleDelay if zero
	RemoveGrace time.Duration    // DefaultRemoveGrace if zero
	HoldAfter   int              // removals at a time beyond which they are held; DefaultHoldAfter if zero
	HoldFor     time.Duration    // how long; DefaultHoldFor if zero
	DraftQuota  int64            // DefaultDraftQuota if zero
	Retention   time.Duration    // of versions of blobs that were replaced; DefaultBlobRetention if zero
	RelayQuota  Quota            // of what is kept for others as a relay; DefaultRelaySpace and DefaultRelayDevice where 0
	Now         func() time.Time // time.Now if nil
	Logger      *slog.Logger     // slog.Default() if nil
}

// Repo is one vault: its spaces and the tree of their objects. All methods may
// be called from any goroutine.
type Repo struct {
	store  *cellar
	engine Engine
	keys   Keys
	opts   Options
	now    func() time.Time
	log    *slog.Logger
	hub    hub
	me     identity

	closed  atomic.Bool
	cancel  context.CancelFunc
	cache   *blob.Cache
	stopped chan struct{} // closed when settler, collector and sealer have ended
	kick    chan struct{} // wakes the settler

	relays      atomic.Int64 // spaces of which this device is a relay
	sleepsUntil atomic.Int64 // ms: when the settler wakes by itself

	mu     sync.RWMutex // guards the below
	spaces map[SpaceID]*Space
	own    *Space // of the identity's devices; nil while there is one only

	meMu sync.Mutex // held while credentials of the own identity are added; guards the names in me

	inoMu          sync.Mutex // guards the below
	next, reserved Ino        // next is given out next; below reserved is durable
}

// inoBlock is how many inode numbers are reserved by one commit.
const inoBlock = 1024

// Open reads the vault's spaces from the store and starts what waits for its
// time. Close must be called.
func Open(ctx context.Context, opts Options) (*Repo, error) {
	opts.SettleDelay = cmp.Or(opts.SettleDelay, DefaultSettleDelay)
	opts.RemoveGrace = cmp.Or(opts.RemoveGrace, DefaultRemoveGrace)
	opts.DraftQuota = cmp.Or(opts.DraftQuota, DefaultDraftQuota)
	opts.HoldAfter = cmp.Or(opts.HoldAfter, DefaultHoldAfter)
	opts.HoldFor = cmp.Or(opts.HoldFor, DefaultHoldFor)
	opts.Retention = cmp.Or(opts.Retention, DefaultBlobRetention)
	opts.RelayQuota.Space = cmp.Or(opts.RelayQuota.Space, DefaultRelaySpace)
	opts.RelayQuota.Device = cmp.Or(opts.RelayQuota.Device, DefaultRelayDevice)
	if opts.Chunks == nil {
		opts.Chunks = func(SpaceID) (blob.Store, error) { return blob.NewMem(), nil }
	}
	r := &Repo{
		store: &cellar{opts.Store, newHider(opts.NameKey)}, engine: opts.Engine, keys: opts.Keys, opts: opts,
		now: opts.Now, log: opts.Logger, spaces: make(map[SpaceID]*Space),
		cache: blob.NewCache(blob.DefaultCacheSize), stopped: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	if err := r.loadRemovals(ctx); err != nil {
		return nil, err
	}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.stopped)
		var background sync.WaitGroup
		background.Go(func() { r.settler(ctx) })
		background.Go(func() { r.collector(ctx) })
		background.Go(func() { r.sealer(ctx) })
		background.Wait()
	}()
	return r, nil
}

func (r *Repo) load(ctx context.Context) error {
	if err := r.loadIdentity(); err != nil {
		return fmt.Errorf("open identity: %w", err)
	}
	n, err := r.getNumber("ino")
	if err != nil {
		return fmt.Errorf("open tree: %w", err)
	}
	r.next = max(RootIno+1, Ino(n))
	r.reserved = r.next
	var ids []SpaceID
	err = scanPrefix(r.store, []byte{tableSpace}, func(k, _ []byte) bool {
		var id SpaceID
		copy(id[:], k[1:])
		ids = append(ids, id)
		return true
	})
	if err != nil {
		return fmt.Errorf("list spaces: %w", err)
	}
	for _, id := range ids {
		s, err := r.openSpace(ctx, id)
		if err != nil {
			return fmt.Errorf("open space %s: %w", id.Short(), err)
		}
		if s.row.Own {
			r.own = s
			continue
		}
		r.spaces[id] = s
	}
	for _, s := range r.spacesWithOwn() {
		r.resumeRevocations(ctx, s)
		s.unsettled = s.State().Limited() // the vault may have ended before it was obeyed
		if len(s.waiting) == 0 && !s.unsettled && !s.sealed {
			continue
		}
		if err := s.update(ctx, (*txn).retryWaiting); err != nil {
			r.log.Warn("apply entries that waited", "space", s.Name(), "error", err)
		}
		s.saveRescued(ctx)
	}
	return nil
}

// Close finishes what waits for its time (new objects settle, removed ones are
// marked deleted), writes everything to disk, and ends the Repo's goroutine.
// The store stays open.
func (r *Repo) Close() error {
	if r.closed.Load() {
		return nil
	}
	r.cancel()
	<-r.stopped
	err := r.settleDue(context.Background(), farFuture)
	r.closed.Store(true)
	return errors.Join(err, r.Flush())
}

// Flush makes everything acknowledged so far survive a power cut (fsync): chunks
// first, since entries name them.
func (r *Repo) Flush() error {
	for _, s := range r.Spaces() {
		if err := s.chunks.store.Sync(); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	if err := r.store.Commit(&Batch{}, Disk); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Subscribe tells about changes of the kinds in mask until the subscription is
// closed.
func (r *Repo) Subscribe(mask What) *Subscription { return r.hub.subscribe(mask, 0) }

func (r *Repo) getNumber(name string) (uint64, error) {
	b, err := r.store.Get(key(tableMeta, name))
	if isNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("damaged number %q", name)
	}
	return binary.BigEndian.Uint64(b), nil
}

// newIno gives out an inode number. Numbers are reserved durably in blocks, so
// that none is given twice after a crash.
func (r *Repo) newIno() (Ino, error) {
	r.inoMu.Lock()
	defer r.inoMu.Unlock()
	if r.next >= r.reserved {
		var b Batch
		upto := r.next + inoBlock
		b.Put(key(tableMeta, "ino"), binary.BigEndian.AppendUint64(nil, uint64(upto)))
		if err := r.store.Commit(&b, Kernel); err != nil {
			return 0, fmt.Errorf("reserve inode numbers: %w", err)
		}
		r.reserved = upto
	}
	ino := r.next
	r.next++
	return ino, nil
}

// Spaces lists the spaces by name.
func (r *Repo) Spaces() []*Space {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Space, 0, len(r.spaces))
	for _, s := range r.spaces {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Space) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// SpaceByID returns a space, also that of the identity's devices.
func (r *Repo) SpaceByID(id SpaceID) (*Space, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.own != nil && r.own.id == id {
		return r.own, true
	}
	s, ok := r.spaces[id]
	return s, ok
}

// minPrefix is how many characters of an id name a space.
const minPrefix = 4

// FindSpace finds a space by its local name, or by at least four characters of
// either form of its id. ErrNotFound, ErrAmbiguous.
func (r *Repo) FindSpace(nameOrID string) (*Space, error) {
	var found []*Space
	for _, s := range r.Spaces() {
		if s.Name() == nameOrID {
			return s, nil
		}
		if len(nameOrID) >= minPrefix && (strings.HasPrefix(s.PublicID(), strings.ToUpper(nameOrID)) ||
			strings.HasPrefix(s.ID().String(), strings.ToLower(nameOrID))) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("space %q: %w", nameOrID, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("space %q: %w: %d spaces begin so", nameOrID, ErrAmbiguous, len(found))
}

// spaceOf returns the space a node lies in.
func (r *Repo) spaceOf(row *nodeRow) (*Space, error) {
	s, ok := r.SpaceByID(row.Space)
	if !ok {
		return nil, fmt.Errorf("space of %q: %w", row.Name, ErrNotFound)
	}
	return s, nil
}
