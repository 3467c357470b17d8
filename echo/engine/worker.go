package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// IsWorker reports whether this process was started by an Engine to be one of
// its workers. The program then calls Main first of all.
func IsWorker() bool { return os.Getenv(workerEnv) != "" }

// Main is a worker process: it limits itself, then serves requests from stdin
// until that ends. Nothing but replies is written to stdout; what else would
// be, also by the C library, goes to stderr.
func Main(stdin, stdout *os.File) error {
	runtime.LockOSThread() // the core is entered from one thread only
	limits, err := readLimits()
	if err != nil {
		return fmt.Errorf("read worker limits: %w", err)
	}
	out, err := detach(stdout)
	if err != nil {
		return fmt.Errorf("set aside the standard output: %w", err)
	}
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(limits.memory / 4)
	if err := confine(limits); err != nil {
		return fmt.Errorf("confine worker: %w", err)
	}
	return newWorker(limits.cache).serve(stdin, out)
}

// worker executes requests, one at a time.
type worker struct {
	cache *cache
}

func newWorker(cacheBytes int64) *worker { return &worker{cache: newCache(cacheBytes)} }

func (w *worker) serve(in io.Reader, out io.Writer) error {
	defer w.cache.clear()
	if _, err := writeFrame(out, append(make([]byte, frameRoom), helloFrame...)); err != nil {
		return fmt.Errorf("write greeting: %w", err)
	}
	var requests frameReader
	in = bufio.NewReaderSize(in, readBuffer)
	for {
		frame, err := requests.next(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if _, err := writeFrame(out, w.answer(frame)); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
	}
}

// answer executes one request and returns the frame of the reply.
func (w *worker) answer(frame []byte) []byte {
	reply := make([]byte, frameRoom, 512)
	r, err := decodeRequest(frame)
	if err != nil {
		return appendError(reply, err)
	}
	d, err := w.obtain(r)
	if err != nil {
		return appendError(reply, err)
	}
	if d == nil {
		return append(reply, replyNeed)
	}
	out, err := w.execute(d, r, append(reply, replyOK))
	if err == nil && len(out)-frameRoom > maxFrame {
		err = fmt.Errorf("reply of %d bytes: %w", len(out), ErrLimit)
	}
	if err != nil {
		// The document may hold half of the operation.
		d.free()
		return appendError(reply, err)
	}
	w.cache.put(d, len(frame)+len(out))
	return out
}

func appendError(b []byte, err error) []byte {
	return append(append(b, replyError, errorCode(err)), err.Error()...)
}

// obtain returns the document of a request, or nil where its chunks are needed.
func (w *worker) obtain(r *request) (*cached, error) {
	if d := w.cache.take(r.id, r.heads); d != nil {
		return d, nil
	}
	if len(r.heads) == 0 {
		d, err := newCoreDoc()
		if err != nil {
			return nil, err
		}
		return &cached{id: r.id, heads: r.heads, doc: d}, nil
	}
	if !r.hasChunks {
		return nil, nil
	}
	return w.load(r)
}

// load makes a document of the chunks of a request.
func (w *worker) load(r *request) (*cached, error) {
	saved := bytes.Join(r.chunks, nil)
	w.cache.makeRoom(len(saved))
	e := &cached{id: r.id, heads: r.heads}
	read := func() (err error) {
		e.doc, err = loadCoreDoc(saved)
		return err
	}
	var err error
	if long := len(saved) >= eagerSaved; long {
		e.size, err = w.cache.measured(read)
	} else {
		err = read()
	}
	if err != nil {
		return nil, fmt.Errorf("load document: %w: %w", err, ErrSource)
	}
	heads, err := e.doc.heads()
	if err == nil && !heads.Equal(r.heads) {
		err = fmt.Errorf("load document: it has heads %v, not %v: %w", heads, r.heads, ErrSource)
	}
	if err != nil {
		e.free()
		return nil, err
	}
	if e.size >= eagerBytes {
		w.cache.keepPast(e)
	}
	return e, nil
}

// execute runs one operation on a document and appends the reply's body to out.
func (w *worker) execute(d *cached, r *request, out []byte) ([]byte, error) {
	switch r.op {
	case opEdit:
		return w.edit(d, r, out)
	case opMerge:
		return w.merge(d, r, out)
	case opRead:
		return read(d, r, out)
	case opCompact:
		return compact(d.doc, r, out)
	case opChanges:
		return d.doc.appendChanges(out, nil)
	case opConflicts:
		return d.doc.appendConflicts(out)
	}
	return nil, fmt.Errorf("operation %d: %w", r.op, errMessage)
}

// edit makes one change at the base of the request. At another version than
// the current one, that happens in a copy of the document as it was then, and
// the change is applied like one from elsewhere.
func (w *worker) edit(d *cached, r *request, out []byte) ([]byte, error) {
	req, err := decodeEditRequest(r.body)
	if err != nil {
		return nil, err
	}
	if req.Base == nil || req.Base.Equal(r.heads) {
		made, err := makeEdit(d.doc, req)
		if err != nil {
			return nil, err
		}
		w.took(d, made.recent)
		return d.appendResult(out, made)
	}
	if err := knows(d.doc, req.Base); err != nil {
		return nil, err
	}
	made, err := w.editPast(d, req)
	if err != nil {
		return nil, err
	}
	return d.appendResult(out, made)
}

// editPast makes a change at an old version, in a trail or a fork.
func (w *worker) editPast(d *cached, req *doc.EditRequest) (madeChange, error) {
	t := d.trail(req.Base)
	if t == nil {
		return w.editFork(d, req)
	}
	made, err := makeEdit(t.doc, req)
	if err != nil {
		d.past.lose(t)
		return made, err
	}
	if made.recent.Hash.IsZero() {
		return made, nil
	}
	d.past.grown(t)
	w.took(d, made.recent)
	return made, applyMade(d.doc, made)
}

// trail returns a trail at a version, or nil where there is none. A failure is
// no more than that: the way around it takes longer.
func (d *cached) trail(version doc.Heads) *trail {
	t, err := d.past.at(version)
	if err != nil {
		d.forgetPast()
	}
	return t
}

// editFork makes a change at a version that is not at hand; the core applies all
// changes up to it again. The past is at hand from there on.
func (w *worker) editFork(d *cached, req *doc.EditRequest) (madeChange, error) {
	var fork *coreDoc
	size, err := w.cache.measured(func() (err error) {
		fork, err = d.doc.fork(req.Base)
		return err
	})
	if err != nil {
		return madeChange{}, fmt.Errorf("go back to %v: %w", req.Base, err)
	}
	defer fork.free()
	d.size = size
	if trails := w.cache.trails(d); trails > 0 && len(req.Base) > 0 {
		if p, err := rebase(d.doc, fork, req.Base, trails); err == nil && p != nil {
			d.forgetPast()
			d.past = p
		}
	}
	made, err := makeEdit(fork, req)
	if err != nil || made.recent.Hash.IsZero() {
		return made, err
	}
	if err := applyMade(d.doc, made); err != nil {
		return made, err
	}
	w.took(d, made.recent)
	return made, nil
}

// took notes changes that the document took.
func (w *worker) took(d *cached, changes ...recentChange) {
	for _, c := range changes {
		if c.Hash.IsZero() {
			continue
		}
		d.grow(c.ops)
		if d.past == nil {
			d.alone++
			continue
		}
		if err := d.past.add(c); err != nil {
			d.forgetPast() // it can be made again
		}
	}
	switch trails := w.cache.trails(d); {
	case trails == 0:
		d.forgetPast()
	case d.past != nil:
		d.past.limit(trails)
	case d.alone >= eagerChanges:
		w.cache.keepPast(d)
	}
}

// knows returns an error unless every head is a change of the document.
func knows(d *coreDoc, heads doc.Heads) error {
	for _, h := range heads {
		if !d.has(h) {
			return fmt.Errorf("the document has no change %s: %w", h, ErrBase)
		}
	}
	return nil
}

func chooseBranch(d *coreDoc, branches []doc.Branch) (int, error) {
	for i, b := range branches {
		if b.Last.IsZero() || d.has(b.Last) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("the base lacks the last change of each of %d branches: %w", len(branches), ErrBranch)
}

// madeChange is a change that was made here; a zero hash where the edits changed
// nothing.
type madeChange struct {
	recent recentChange
	branch int
}

// makeEdit makes the change of a request in a document that is at its base.
func makeEdit(at *coreDoc, req *doc.EditRequest) (madeChange, error) {
	branch, err := chooseBranch(at, req.Branches)
	if err != nil {
		return madeChange{}, err
	}
	change, err := makeChange(at, req, req.Branches[branch].Actor)
	if err != nil || change.Hash.IsZero() {
		return madeChange{}, err
	}
	info, err := acceptable(change, req.Branches[branch].Actor)
	if err != nil {
		return madeChange{}, err
	}
	return madeChange{recentChange{change, info.Deps, info.Ops}, branch}, nil
}

// applyMade applies a change that was made in a copy of the document.
func applyMade(d *coreDoc, made madeChange) error {
	return applyAll(d, [][]byte{made.recent.Bytes}, []doc.ChangeHash{made.recent.Hash})
}

// makeChange applies the edits and commits; the change is zero where they
// changed nothing.
func makeChange(d *coreDoc, req *doc.EditRequest, actor doc.ActorID) (doc.Change, error) {
	var none doc.Change
	if err := d.setActor(actor); err != nil {
		return none, fmt.Errorf("set actor: %w", err)
	}
	if err := d.applyEdits(req.Edits); err != nil {
		return none, err
	}
	hash, made, err := d.commit(req.Message, req.Time)
	if err != nil {
		return none, fmt.Errorf("commit: %w", err)
	}
	if !made {
		return none, nil
	}
	raw, err := d.change(hash)
	if err != nil {
		return none, err
	}
	return doc.Change{Hash: hash, Bytes: guard.Deflate(raw)}, nil
}

// acceptable makes sure that other devices will not refuse a change: that must
// be known before it is stored.
func acceptable(change doc.Change, actor doc.ActorID) (*guard.Info, error) {
	info, err := guard.Check(change.Bytes, guard.Rules{Actor: actor})
	var refusal *guard.Error
	if errors.As(err, &refusal) && refusal.Reason == guard.ReasonLimit {
		return nil, fmt.Errorf("too much for one change: %s: %w", refusal.Detail, ErrLimit)
	}
	return info, err
}

// appendResult appends what an operation made of a document, whose version may
// be another now.
func (d *cached) appendResult(out []byte, made madeChange) ([]byte, error) {
	heads, err := d.doc.heads()
	if err != nil {
		return nil, err
	}
	d.heads = heads
	out = append(out, made.recent.Hash[:]...)
	out = appendBytes(out, made.recent.Bytes)
	out = binary.AppendUvarint(out, uint64(made.branch))
	out = appendHeads(out, heads)
	value, err := d.doc.appendValue(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return appendBytes(out, value), nil
}

// merge applies changes, and makes sure that each of them is there then.
func (w *worker) merge(d *cached, r *request, out []byte) ([]byte, error) {
	list := &decoder{b: r.body}
	chunks := list.list()
	if err := list.end(); err != nil {
		return nil, err
	}
	hashes := make([]doc.ChangeHash, len(chunks))
	for i, chunk := range chunks {
		var err error
		if hashes[i], err = guard.Hash(chunk); err != nil {
			return nil, fmt.Errorf("change %d of %d: %w: %w", i+1, len(chunks), err, ErrChange)
		}
	}
	if len(chunks) > maxRecent/2 {
		d.forgetPast() // it is quicker to begin anew
	}
	news := d.news(chunks, hashes)
	if err := applyAll(d.doc, chunks, hashes); err != nil {
		return nil, err
	}
	if d.past == nil {
		d.size = sizeUnknown
	}
	w.took(d, news...)
	return d.appendResult(out, madeChange{})
}

// news returns the changes that the document does not have, if its past is to
// know of them.
func (d *cached) news(chunks [][]byte, hashes []doc.ChangeHash) (out []recentChange) {
	if d.past == nil {
		return nil
	}
	for i, chunk := range chunks {
		if d.doc.has(hashes[i]) {
			continue
		}
		c, err := recentOf(doc.Change{Hash: hashes[i], Bytes: bytes.Clone(chunk)})
		if err != nil {
			d.forgetPast()
			return nil
		}
		out = append(out, c)
	}
	return out
}

func applyAll(d *coreDoc, chunks [][]byte, hashes []doc.ChangeHash) error {
	applyErr := d.apply(bytes.Join(chunks, nil))
	for _, h := range hashes {
		if d.has(h) {
			continue
		}
		if applyErr != nil {
			return fmt.Errorf("change %s: %w: %w", h, applyErr, ErrChange)
		}
		return fmt.Errorf("change %s: malformed or not ready: %w", h, ErrChange)
	}
	if applyErr != nil {
		return fmt.Errorf("apply changes: %w: %w", applyErr, ErrChange)
	}
	return nil
}

// read appends the document at a version. An old one is read from a trail: the
// core finds out for each object anew what a version contains.
func read(d *cached, r *request, out []byte) ([]byte, error) {
	b := &decoder{b: r.body}
	at := b.heads()
	if err := b.end(); err != nil {
		return nil, err
	}
	if at != nil && len(at) == 0 {
		return append(out, doc.EncodeValue(doc.NewMap())...), nil
	}
	if err := knows(d.doc, at); err != nil {
		return nil, err
	}
	from := d.doc
	if at.Equal(d.heads) {
		at = nil
	}
	if at != nil {
		if t := d.trail(at); t != nil {
			from, at = t.doc, nil
		}
	}
	out, err := from.appendValue(out, at)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return out, nil
}

// compact saves the document and proves that the saved form is as good: the
// core can write a form that it does not read.
func compact(d *coreDoc, r *request, out []byte) ([]byte, error) {
	saved, err := d.save()
	if err != nil {
		return nil, fmt.Errorf("save document: %w", err)
	}
	again, err := loadCoreDoc(saved)
	if err != nil {
		return nil, fmt.Errorf("load again: %w: %w", err, ErrCompact)
	}
	defer again.free()
	heads, err := again.heads()
	if err != nil {
		return nil, err
	}
	if !heads.Equal(r.heads) {
		return nil, fmt.Errorf("it has heads %v, not %v: %w", heads, r.heads, ErrCompact)
	}
	before, err := d.appendValue(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	after, err := again.appendValue(nil, nil)
	if err != nil || !bytes.Equal(before, after) {
		return nil, fmt.Errorf("it holds other data: %w", ErrCompact)
	}
	return append(out, saved...), nil
}
