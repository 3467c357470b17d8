package echo

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"echofs/echo/doc"
	"echofs/echo/model"
	"echofs/echo/names"
	"echofs/halo"
)

// Position is a place in a feed: how many entries stand before it, and the id
// of the last of them.
type Position = halo.Position

// Vector says how much of each feed of a space somebody has.
type Vector map[halo.FeedID]Position

// Space is one replication domain: its members, and the objects they share.
// All methods may be called from any goroutine.
type Space struct {
	repo  *Repo
	id    SpaceID
	ino   Ino
	graph *halo.Graph

	name   atomic.Pointer[string]
	writer atomic.Bool // this device may write

	relaying   atomic.Bool // this device stores what it cannot read
	aboveFloor atomic.Bool // all that the host of the invitation had is here

	// mu is held by one writer at a time, through the whole of a transaction:
	// what a space says is one sequence. Readers take the store as it is.
	mu      sync.Mutex
	row     spaceRow
	own     ownFeed
	waiting map[entryRef]struct{}    // stored entries that wait for something
	schemas map[string]*model.Schema // by type, as far as they were looked up

	unsettled bool // which entries count is to be decided again
	sealed    bool // what was stored as a relay is to be opened

	rescued bool // something is to be saved again (fork.go)

	lost map[halo.DeviceID]time.Time // revoked devices with feeds that nobody sealed, and since when that is known

	removals removals
	chunks   *chunks
	kept     *kept

	feedsMu sync.RWMutex             // guards feeds; taken under mu
	feeds   map[halo.FeedID]*feedRow // all of them, as stored; rows are not changed

	ackMu sync.Mutex // held while an acknowledgement is read and written

	keysMu  sync.RWMutex // guards the below
	keys    map[halo.EpochID]halo.EpochKey
	epoch   halo.EpochKey            // the current one; zero while it is not known here
	swarms  []halo.SwarmSecret       // by which others are met
	devices map[halo.DeviceID]string // names
}

// ownFeed is this device's feed in the space.
type ownFeed struct {
	id  halo.FeedID
	pos Position // zero until the feed is open
}

// entryRef names a stored entry.
type entryRef struct {
	feed halo.FeedID
	seq  uint64
}

// ID returns the space's id.
func (s *Space) ID() SpaceID { return s.id }

// PublicID returns the id in ECHO's form: "B" and base32.
func (s *Space) PublicID() string { return s.graph.State().PublicID() }

// Name returns the space's local name, as shown at the mount's root.
func (s *Space) Name() string { return *s.name.Load() }

// Ino returns the number of the space's root folder.
func (s *Space) Ino() Ino { return s.ino }

// NodeByID returns the node of an object of the space.
func (s *Space) NodeByID(id doc.ObjectID) (Node, error) {
	obj, err := getObject(s.repo.store, s.id, id)
	if err == nil && obj.Ino == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Node{}, fmt.Errorf("object %s: %w", id, err)
	}
	return s.repo.Node(obj.Ino)
}

// State returns the members and keys by the credentials known now.
func (s *Space) State() *halo.State { return s.graph.State() }

// mayWrite reports whether this device's edits count.
func (s *Space) mayWrite() bool { return s.writer.Load() }

// actor is the Automerge actor of this device's feed in a document.
func (s *Space) actor(id doc.DocumentID, branch int) doc.ActorID {
	return halo.Actor(s.own.id, id, uint16(branch))
}

// spaceKey is the key that documents name, in hexadecimal.
func (s *Space) spaceKey() string { return hex.EncodeToString(s.State().SpaceKey()) }

// openSpace reads a space from the store.
func (r *Repo) openSpace(_ context.Context, id SpaceID) (*Space, error) {
	s := &Space{repo: r, id: id, graph: halo.NewGraph(id), feeds: make(map[halo.FeedID]*feedRow),
		waiting: make(map[entryRef]struct{}), removals: removals{waiting: make(map[Ino]removal)}}
	if ok, err := getRow(r.store, key(tableSpace, id), &s.row); err != nil || !ok {
		return nil, wrapf(orNotFound(ok, err), "space row")
	}
	store, err := r.opts.Chunks(id)
	if err != nil {
		return nil, err
	}
	s.chunks = newChunks(s, store)
	if err := s.chunks.load(); err != nil {
		return nil, err
	}
	s.kept = newKept(s)
	if err := s.kept.load(); err != nil {
		return nil, err
	}
	s.ino = s.row.Ino
	name := s.row.Name // the row is changed in place
	s.name.Store(&name)
	if err := s.loadCredentials(); err != nil {
		return nil, err
	}
	s.setRelaying(s.graph.State())
	if err := s.loadFeeds(); err != nil {
		return nil, err
	}
	s.refresh()
	return s, nil
}

func orNotFound(ok bool, err error) error {
	if err == nil && !ok {
		return ErrNotFound
	}
	return err
}

func (s *Space) loadCredentials() error {
	var bad error
	err := scanPrefix(s.repo.store, key(tableCredential, s.id), func(_, v []byte) bool {
		var c *halo.Credential
		if c, bad = halo.ParseCredential(v); bad != nil {
			return false
		}
		_, bad = s.graph.Add(c)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return wrapf(err, "read credentials")
}

func (s *Space) loadFeeds() error {
	prefix := key(tableFeed, s.id)
	err := scanRows(s.repo.store, prefix, func(k []byte, row *feedRow) bool {
		var id halo.FeedID
		copy(id[:], k[len(prefix):])
		s.feeds[id] = row
		return true
	})
	if err != nil {
		return fmt.Errorf("read feeds: %w", err)
	}
	if own, ok := s.feeds[s.row.OwnFeed]; ok {
		s.own = ownFeed{s.row.OwnFeed, Position{Next: own.Next, Last: own.Last}}
	}
	return s.loadWaiting()
}

func (s *Space) loadWaiting() error {
	if s.Relays() {
		return nil // nothing waits: nothing is applied
	}
	prefix := key(tableWaiting, s.id)
	err := scanRows(s.repo.store, prefix, func(k []byte, row *waitingRow) bool {
		if row.State == entryPending || row.State == entryQuarantined { // what the engine did not survive may have been bad luck: tried once per start
			s.waiting[parseEntryRef(k[len(prefix):])] = struct{}{}
		}
		s.sealed = s.sealed || row.State == entrySealed
		return true
	})
	return wrapf(err, "read waiting entries")
}

func parseEntryRef(k []byte) entryRef {
	var ref entryRef
	copy(ref.feed[:], k)
	ref.seq = uint64(keyIno(k, len(ref.feed)))
	return ref
}

// refresh derives role and keys from the credentials.
func (s *Space) refresh() {
	state := s.graph.State()
	keys := make(map[halo.EpochID]halo.EpochKey)
	for _, k := range s.repo.keys.EpochKeys(s.id) {
		keys[k.ID(s.id)] = k
	}
	all := s.repo.keys.Device().EpochKeys(state, keys)
	for id, k := range all {
		if _, known := keys[id]; known {
			continue
		}
		if err := s.repo.keys.AddEpochKey(s.id, k); err != nil {
			s.repo.log.Error("keep epoch key", "space", s.Name(), "error", err)
		}
	}
	s.setRelaying(state)
	s.leaveCutFeed(state)
	swarms := s.readSwarms(state, all)
	current, ok := state.CurrentEpoch()
	devices := s.readDeviceNames(all)
	s.keysMu.Lock()
	s.keys, s.devices, s.swarms = all, devices, swarms
	s.epoch = halo.EpochKey{}
	if ok {
		s.epoch = all[current.ID]
	}
	have := !s.epoch.IsZero()
	s.keysMu.Unlock()
	me := halo.Author{Device: s.repo.me.device, Identity: s.repo.me.id}
	s.writer.Store(ok && have && state.MayWrite(me, current.ID) == nil)
}

// leaveCutFeed gives up the own feed where it was cut: what is written next goes
// into a new one. s.mu is held, or the space is not in use yet.
func (s *Space) leaveCutFeed(state *halo.State) {
	if s.own.pos.Next == 0 || !state.Limited() {
		return
	}
	t := &txn{overlay: newOverlay(s.repo.store), s: s}
	f, err := t.feedFacts(s.own.id)
	if err != nil {
		s.repo.log.Error("look at the own feed", "space", s.Name(), "error", err)
		return
	}
	if state.Limit(f).Cut {
		s.own = ownFeed{}
	}
}

// EpochKeys returns the keys of the space's epochs that this device has, the
// current one first.
func (s *Space) EpochKeys() []halo.EpochKey {
	state := s.graph.State()
	s.keysMu.RLock()
	defer s.keysMu.RUnlock()
	out := make([]halo.EpochKey, 0, len(s.keys))
	if !s.epoch.IsZero() {
		out = append(out, s.epoch)
	}
	epochs := state.Epochs()
	for i := len(epochs) - 1; i >= 0; i-- {
		k, ok := s.keys[epochs[i].ID]
		if ok && !k.Equal(s.epoch.Secret) {
			out = append(out, k)
		}
	}
	return out
}

func (s *Space) currentKey() halo.EpochKey {
	s.keysMu.RLock()
	defer s.keysMu.RUnlock()
	return s.epoch
}

func (s *Space) epochKey(id halo.EpochID) (halo.EpochKey, bool) {
	s.keysMu.RLock()
	defer s.keysMu.RUnlock()
	k, ok := s.keys[id]
	return k, ok
}

// CreateSpace makes a space that this identity owns: its genesis and its first
// key epoch, so that everything in it is encrypted from the first byte.
func (r *Repo) CreateSpace(ctx context.Context, name string) (*Space, error) {
	s, err := r.newSpace(ctx, name)
	if err == nil {
		err = s.introduce(ctx, name)
	}
	if err != nil {
		return nil, fmt.Errorf("create space %q: %w", name, err)
	}
	return s, nil
}

// newSpace makes a space without anything in it.
func (r *Repo) newSpace(ctx context.Context, name string) (*Space, error) {
	graph, err := r.newSpaceGraph()
	if err != nil {
		return nil, err
	}
	return r.addSpace(ctx, graph, name)
}

// newSpaceGraph returns the first credentials of a space that this identity
// owns, and keeps the key of its first epoch.
func (r *Repo) newSpaceGraph() (*halo.Graph, error) {
	now := r.now()
	by := r.issuer()
	genesis, err := halo.NewSpace(r.me.graph, by, halo.HistoryFull, now)
	if err != nil {
		return nil, err
	}
	graph := halo.NewGraph(SpaceID(genesis.ID))
	for _, c := range append(r.me.graph.All(), genesis) {
		if _, err := graph.Add(c); err != nil {
			return nil, err
		}
	}
	rotate, epoch, err := graph.RotateEpoch(by, halo.RotateFirst, func(halo.EpochID) (halo.EpochKey, bool) {
		return halo.EpochKey{}, false
	}, now)
	if err != nil {
		return nil, err
	}
	if _, err := graph.Add(rotate); err != nil {
		return nil, err
	}
	id := graph.Space()
	if err := r.keys.AddEpochKey(id, epoch); err != nil {
		return nil, fmt.Errorf("keep epoch key: %w", err)
	}
	return graph, nil
}

// introduce writes what members show of a new space and of themselves.
func (s *Space) introduce(ctx context.Context, name string) error {
	err := s.update(ctx, func(t *txn) error {
		structure := newStructure(shape{Type: TypeProperties,
			Data: doc.NewMap(doc.Field{Key: keyName, Value: doc.NewText(name)})}, t.now.UnixMilli())
		return t.newDocument(s.repo.newObjectID(), structure, nil, nil)
	})
	if err != nil {
		return fmt.Errorf("write properties: %w", err)
	}
	return s.publishProfile(ctx)
}

// addSpace stores a space whose credentials are complete, and shows it.
func (r *Repo) addSpace(ctx context.Context, graph *halo.Graph, name string) (*Space, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.spaces[graph.Space()]; ok {
		return nil, ErrExists
	}
	name, err := r.freeName(name)
	if err != nil {
		return nil, err
	}
	ino, err := r.newIno()
	if err != nil {
		return nil, err
	}
	now := r.now()
	id := graph.Space()
	o := newOverlay(r.store)
	all := graph.All()
	for i, c := range all {
		o.put(key(tableCredential, id, uint64(i)), c.Bytes())
	}
	row := spaceRow{Ino: ino, Name: name, Joined: now.UnixMilli(), Creds: uint64(len(all))}
	o.putRow(key(tableSpace, id), &row)
	o.putRow(key(tableNode, ino), &nodeRow{Parent: RootIno, Name: name, Plain: name, Label: name,
		Kind: KindSpace, Space: id, ModTime: nanos(now), Changed: nanos(now)})
	o.put(key(tableList, RootIno, ino), nil)
	o.put(key(tableName, RootIno, name), key(0, ino)[1:])
	if err := r.store.Commit(&o.batch, Kernel); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	s, err := r.openSpace(ctx, id)
	if err != nil {
		return nil, err
	}
	r.spaces[id] = s
	r.hub.publish([]Event{{What: Members, Space: id},
		{What: Added, Ino: ino, Parent: RootIno, Name: name, Kind: KindSpace, Space: id}})
	return s, nil
}

// maxSameName bounds the search for a free name.
const maxSameName = 10_000

// freeName returns a name for a space that no other has: two spaces of one
// name get a number. r.mu is held.
func (r *Repo) freeName(want string) (string, error) {
	want = names.Escape(want, true)
	if isReserved(want) || names.IsLocal(want) {
		want = "space " + want
	}
	name := want
	for n := 2; n < maxSameName; n++ {
		_, err := lookupName(r.store, RootIno, name)
		if isNotFound(err) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = want + "-" + strconv.Itoa(n)
	}
	return "", ErrExists
}

// RenameSpace changes the local name of a space. ErrExists, ErrInvalidName.
func (r *Repo) RenameSpace(ctx context.Context, id SpaceID, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.spaces[id]
	if !ok {
		return fmt.Errorf("rename space: %w", ErrNotFound)
	}
	if _, err := names.Create(name); err != nil || isReserved(name) || names.IsLocal(name) {
		return fmt.Errorf("rename space to %q: %w", name, ErrInvalidName)
	}
	if _, err := lookupName(r.store, RootIno, name); err == nil {
		return fmt.Errorf("rename space to %q: %w", name, ErrExists)
	}
	err := s.update(ctx, func(t *txn) error {
		row, err := getNode(t, s.ino)
		if err != nil {
			return err
		}
		t.delete(key(tableName, RootIno, row.Name))
		t.event(Event{What: Removed, Ino: s.ino, Parent: RootIno, Name: row.Name, Kind: KindSpace})
		row.Name, row.Plain, row.Label, row.Changed = name, name, name, t.now.UnixNano()
		t.putNode(s.ino, row)
		t.put(key(tableName, RootIno, name), key(0, s.ino)[1:])
		t.event(Event{What: Added, Ino: s.ino, Parent: RootIno, Name: name, Kind: KindSpace})
		before := s.row.Name
		s.row.Name = name
		t.undo = append(t.undo, func() { s.row.Name = before })
		t.putRow(key(tableSpace, s.id), &s.row)
		t.after = append(t.after, func() { s.name.Store(&name) })
		return nil
	})
	return wrapf(err, "rename space")
}

// timeOf turns stored milliseconds into a time; zero stays zero.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
