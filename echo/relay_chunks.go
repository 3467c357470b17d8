package echo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"echofs/echo/blob"
	"echofs/halo"
)

// A relay cannot read which chunks a version is made of, so members name the
// chunks that count (LiveChunks, NameChunks). It fetches those it lacks, and
// deletes those that nobody has named for long while others were.

// keptChunk is a chunk that was named to a relay.
type keptChunk struct {
	Size   int64         `cbor:"1,keyasint,omitempty"` // 0: it has not come
	Device halo.DeviceID `cbor:"2,keyasint"`           // who named it first
	Named  uint64        `cbor:"3,keyasint"`           // the day on which it was named last
}

// wantedChunk is a chunk that was named and has not come.
type wantedChunk struct {
	address blob.Address
	device  halo.DeviceID
}

const (
	maxKeptWanted = 1 << 18         // chunks of a device that may be named before they come
	keptDays      = 30              // for how long a chunk is kept that is not named while others are
	wantedDays    = 7               // for how long one is waited for that nobody has
	lookEvery     = 2 * time.Second // between two looks for chunks that have not come
)

// countWanted counts the chunks that have not come.
func (k *kept) countWanted() error {
	return k.scan(func(_ blob.Address, row keptChunk) bool {
		if row.Size == 0 {
			k.wanted[row.Device]++
		}
		return true
	})
}

func (k *kept) scan(fn func(blob.Address, keptChunk) bool) error {
	prefix := key(tableKeptChunk, k.s.id)
	err := scanRows(k.s.repo.store, prefix, func(key []byte, row *keptChunk) bool {
		return fn(blob.Address(key[len(prefix):]), *row)
	})
	return wrapf(err, "read which chunks are kept")
}

// NameChunks takes note of chunks that count, as a device of a member says: a
// relay will fetch them. It fails with ErrNoRoom where not all of them are taken.
// Elsewhere it does nothing.
func (s *Space) NameChunks(device halo.DeviceID, list [][32]byte) error {
	if !s.Relays() || s.repo.closed.Load() {
		return nil
	}
	k := s.kept
	k.mu.Lock()
	fresh, err := k.name(device, list)
	k.mu.Unlock()
	if fresh {
		s.repo.hub.publish([]Event{{What: Chunks, Space: s.id}})
	}
	return err
}

// name is NameChunks; k.mu is held.
func (k *kept) name(device halo.DeviceID, list [][32]byte) (fresh bool, err error) {
	today := halo.UnixDay(k.s.repo.now())
	var b Batch
	var full error
	added := 0
	for _, a := range list {
		at := key(tableKeptChunk, k.s.id, blob.Address(a))
		var row keptChunk
		known, err := getRow(k.s.repo.store, at, &row)
		switch {
		case err != nil:
			return false, fmt.Errorf("name a chunk: %w", err)
		case known && row.Named == today:
			continue
		case known:
			row.Named = today
		default:
			if full = k.mayWant(device, added); full != nil {
				continue
			}
			row = keptChunk{Device: device, Named: today}
			added++
		}
		b.Put(at, encodeRow(&row))
	}
	if b.Len() > 0 {
		if err := k.s.repo.store.Commit(&b, Kernel); err != nil {
			return false, fmt.Errorf("name chunks: %w", err)
		}
	}
	if added > 0 {
		k.wanted[device] += added
		k.looked = 0 // there is something new to find
	}
	return added > 0, full
}

func (k *kept) mayWant(device halo.DeviceID, more int) error {
	if k.wanted[device]+more >= maxKeptWanted {
		return fmt.Errorf("%d chunks of device %s have not come: %w", k.wanted[device], device.Short(), ErrNoRoom)
	}
	return k.room(device, 0)
}

// missing returns chunks that were named and have not come.
func (k *kept) missing(skip func([32]byte) bool) []blob.Address {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := 0
	for _, n := range k.wanted {
		left += n
	}
	if left == 0 {
		return nil
	}
	now := k.s.repo.now().UnixMilli()
	open := func(w wantedChunk) bool { return !skip(w.address) }
	if !slices.ContainsFunc(k.queue, open) && now-k.looked >= lookEvery.Milliseconds() {
		k.fill()
		k.looked = now
		if len(k.queue) == maxQueue {
			k.looked = 0 // there is more behind them
		}
	}
	out := make([]blob.Address, 0, len(k.queue))
	for _, w := range k.queue {
		out = append(out, w.address)
	}
	return out
}

// fill looks for chunks that have not come, of devices that have room; k.mu is
// held.
func (k *kept) fill() {
	k.queue = k.queue[:0]
	full := map[halo.DeviceID]bool{}
	for device := range k.wanted {
		full[device] = k.room(device, 1) != nil
	}
	err := k.scan(func(a blob.Address, row keptChunk) bool {
		if row.Size == 0 && !full[row.Device] {
			k.queue = append(k.queue, wantedChunk{a, row.Device})
		}
		return len(k.queue) < maxQueue
	})
	if err != nil {
		k.s.repo.log.Warn("look for chunks that have not come", "error", err)
	}
}

// put stores a chunk that was named. It fails with ErrNoRoom; one that was not
// named is dropped.
func (k *kept) put(a blob.Address, sealed []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := key(tableKeptChunk, k.s.id, a)
	var row keptChunk
	known, err := getRow(k.s.repo.store, at, &row)
	if err != nil {
		return fmt.Errorf("keep a chunk: %w", err)
	}
	if !known || row.Size > 0 {
		return nil
	}
	size := int64(len(sealed))
	if err := k.room(row.Device, size); err != nil {
		return err
	}
	if err := k.s.chunks.store.Put(a, sealed); err != nil {
		return err
	}
	row.Size = size
	u := k.use[row.Device]
	u.chunks += size
	var b Batch
	b.Put(at, encodeRow(&row))
	b.Put(key(tableUse, k.s.id, row.Device, useChunks), encodeRow(&useRow{u.chunks}))
	if err := k.s.repo.store.Commit(&b, Kernel); err != nil {
		return fmt.Errorf("keep a chunk: %w", err)
	}
	k.use[row.Device] = u
	k.wanted[row.Device] = max(0, k.wanted[row.Device]-1)
	k.queue = slices.DeleteFunc(k.queue, func(w wantedChunk) bool { return w.address == a })
	return nil
}

// collect deletes chunks that nobody has named for long, as days go on which
// something was named: while all members are away nothing goes. It returns how
// many bytes it deleted.
func (k *kept) collect(ctx context.Context) (freed int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	newest := uint64(0)
	err = k.scan(func(_ blob.Address, row keptChunk) bool {
		newest = max(newest, row.Named)
		return true
	})
	type old struct {
		address blob.Address
		row     keptChunk
	}
	var gone []old
	if err == nil {
		err = k.scan(func(a blob.Address, row keptChunk) bool {
			if row.Named+keptDays < newest || row.Size == 0 && row.Named+wantedDays < newest {
				gone = append(gone, old{a, row})
			}
			return ctx.Err() == nil
		})
	}
	if err != nil {
		return 0, err
	}
	for _, o := range gone {
		if err := ctx.Err(); err != nil {
			return freed, err
		}
		if err := k.drop(o.address, o.row); err != nil {
			return freed, err
		}
		freed += o.row.Size
	}
	return freed, nil
}

// drop deletes a chunk; k.mu is held.
func (k *kept) drop(a blob.Address, row keptChunk) error {
	u := k.use[row.Device]
	u.chunks = max(0, u.chunks-row.Size)
	var b Batch
	b.Delete(key(tableKeptChunk, k.s.id, a))
	b.Put(key(tableUse, k.s.id, row.Device, useChunks), encodeRow(&useRow{u.chunks}))
	if err := k.s.repo.store.Commit(&b, Kernel); err != nil {
		return fmt.Errorf("drop a chunk: %w", err)
	}
	k.use[row.Device] = u
	if row.Size == 0 {
		k.wanted[row.Device] = max(0, k.wanted[row.Device]-1)
		return nil
	}
	return k.s.chunks.store.Delete(a)
}

// maxNames is how many versions are remembered that were named since the vault
// was opened.
const maxNames = 1 << 16

// noteName takes note of a version that an entry names.
func (c *chunks) noteName(root blob.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, root)
	if len(c.names) > 2*maxNames {
		c.named += uint64(len(c.names) - maxNames)
		c.names = slices.Clone(c.names[len(c.names)-maxNames:])
	}
}

// LiveChunks calls fn with the chunks of versions that objects name, some at a
// time: of all of them for the cursor 0, else of those that were named since it
// was returned. It returns the next cursor. A version of which the list of chunks
// has not come is told of again when it is complete. A relay knows of none.
func (s *Space) LiveChunks(ctx context.Context, cursor uint64, fn func([][32]byte) error) (next uint64, err error) {
	if s.Relays() {
		return cursor, nil
	}
	c := s.chunks
	c.mu.Lock()
	next = c.named + uint64(len(c.names)) + 1
	var roots []blob.Address
	all := cursor == 0 || cursor-1 < c.named
	if !all {
		roots = slices.Clone(c.names[cursor-1-c.named:])
	}
	c.mu.Unlock()
	if all {
		if roots, err = c.liveVersions(); err != nil {
			return cursor, err
		}
	}
	for _, root := range roots {
		if err := c.tell(ctx, root, fn); err != nil {
			return cursor, err
		}
	}
	return next, nil
}

// liveVersions returns the versions that objects name now.
func (c *chunks) liveVersions() (roots []blob.Address, err error) {
	prefix := key(tableBlob, c.s.id)
	err = scanPrefix(c.s.repo.store, prefix, func(k, v []byte) bool {
		var row blobRow
		if decodeRow(v, &row) == nil && row.Gone == 0 {
			roots = append(roots, blob.Address(k[len(k)-len(blob.Address{}):]))
		}
		return true
	})
	return roots, wrapf(err, "read which blobs there are")
}

// tell calls fn with the chunks of a version, as far as they are known.
func (c *chunks) tell(ctx context.Context, root blob.Address, fn func([][32]byte) error) error {
	var batch [][32]byte
	add := func(a blob.Address) bool {
		if !a.IsHole() {
			batch = append(batch, a)
		}
		return true
	}
	add(root)
	x, err := blob.ReadIndex(ctx, c.store, c.s.blobKeys(), root)
	if err == nil {
		x.Chunks(add)
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(batch) == 0 {
		return nil
	}
	return fn(batch)
}
