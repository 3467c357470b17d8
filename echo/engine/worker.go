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
	out, heads, err := execute(d, r, append(reply, replyOK))
	if err == nil && len(out)-frameRoom > maxFrame {
		err = fmt.Errorf("reply of %d bytes: %w", len(out), ErrLimit)
	}
	if err != nil {
		// The document may hold half of the operation.
		d.free()
		return appendError(reply, err)
	}
	w.cache.put(r.id, heads, d, len(frame)+len(out))
	return out
}

func appendError(b []byte, err error) []byte {
	return append(append(b, replyError, errorCode(err)), err.Error()...)
}

// obtain returns the document of a request, or nil where its chunks are needed.
func (w *worker) obtain(r *request) (*coreDoc, error) {
	if d := w.cache.take(r.id, r.heads); d != nil {
		return d, nil
	}
	if len(r.heads) == 0 {
		return newCoreDoc()
	}
	if !r.hasChunks {
		return nil, nil
	}
	saved := bytes.Join(r.chunks, nil)
	w.cache.makeRoom(len(saved))
	d, err := loadCoreDoc(saved)
	if err != nil {
		return nil, fmt.Errorf("load document: %w: %w", err, ErrSource)
	}
	heads, err := d.heads()
	if err == nil && !heads.Equal(r.heads) {
		err = fmt.Errorf("load document: it has heads %v, not %v: %w", heads, r.heads, ErrSource)
	}
	if err != nil {
		d.free()
		return nil, err
	}
	return d, nil
}

// execute runs one operation on d, appends the reply's body to out and returns
// it with the heads d has then.
func execute(d *coreDoc, r *request, out []byte) ([]byte, doc.Heads, error) {
	var err error
	switch r.op {
	case opEdit:
		return edit(d, r, out)
	case opMerge:
		return merge(d, r, out)
	case opRead:
		out, err = read(d, r, out)
	case opCompact:
		out, err = compact(d, r, out)
	case opChanges:
		out, err = d.appendChanges(out)
	case opConflicts:
		out, err = d.appendConflicts(out)
	default:
		err = fmt.Errorf("operation %d: %w", r.op, errMessage)
	}
	return out, r.heads, err
}

// edit makes one change at the base of the request. At another version than
// the current one, that happens in a fork of the document, and the change is
// applied like one from elsewhere.
func edit(d *coreDoc, r *request, out []byte) ([]byte, doc.Heads, error) {
	req, err := decodeEditRequest(r.body)
	if err != nil {
		return nil, nil, err
	}
	at := d
	if req.Base != nil && !req.Base.Equal(r.heads) {
		if at, err = forkAt(d, req.Base); err != nil {
			return nil, nil, err
		}
		defer at.free()
	}
	branch, err := chooseBranch(at, req.Branches)
	if err != nil {
		return nil, nil, err
	}
	change, err := makeChange(at, req, req.Branches[branch].Actor)
	if err != nil {
		return nil, nil, err
	}
	if at != d && !change.Hash.IsZero() {
		if err := applyAll(d, [][]byte{change.Bytes}, []doc.ChangeHash{change.Hash}); err != nil {
			return nil, nil, err
		}
	}
	return appendResult(out, d, change, branch)
}

func forkAt(d *coreDoc, heads doc.Heads) (*coreDoc, error) {
	if err := knows(d, heads); err != nil {
		return nil, err
	}
	f, err := d.fork(heads)
	if err != nil {
		return nil, fmt.Errorf("go back to %v: %w", heads, err)
	}
	return f, nil
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

// makeChange applies the edits and commits; the change is zero where they
// changed nothing.
func makeChange(d *coreDoc, req *doc.EditRequest, actor doc.ActorID) (doc.Change, error) {
	if err := d.setActor(actor); err != nil {
		return doc.Change{}, fmt.Errorf("set actor: %w", err)
	}
	if err := d.applyEdits(req.Edits); err != nil {
		return doc.Change{}, err
	}
	hash, made, err := d.commit(req.Message, req.Time)
	if err != nil {
		return doc.Change{}, fmt.Errorf("commit: %w", err)
	}
	if !made {
		return doc.Change{}, nil
	}
	raw, err := d.change(hash)
	if err != nil {
		return doc.Change{}, err
	}
	change := doc.Change{Hash: hash, Bytes: guard.Deflate(raw)}
	return change, acceptable(change, actor)
}

// acceptable makes sure that other devices will not refuse a change: that must
// be known before it is stored.
func acceptable(change doc.Change, actor doc.ActorID) error {
	_, err := guard.Check(change.Bytes, guard.Rules{Actor: actor})
	var refusal *guard.Error
	if errors.As(err, &refusal) && refusal.Reason == guard.ReasonLimit {
		return fmt.Errorf("too much for one change: %s: %w", refusal.Detail, ErrLimit)
	}
	return err
}

func appendResult(out []byte, d *coreDoc, change doc.Change, branch int) ([]byte, doc.Heads, error) {
	heads, err := d.heads()
	if err != nil {
		return nil, nil, err
	}
	out = append(out, change.Hash[:]...)
	out = appendBytes(out, change.Bytes)
	out = binary.AppendUvarint(out, uint64(branch))
	out = appendHeads(out, heads)
	value, err := d.appendValue(nil, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("read document: %w", err)
	}
	return appendBytes(out, value), heads, nil
}

// merge applies changes, and makes sure that each of them is there then.
func merge(d *coreDoc, r *request, out []byte) ([]byte, doc.Heads, error) {
	list := &decoder{b: r.body}
	chunks := list.list()
	if err := list.end(); err != nil {
		return nil, nil, err
	}
	hashes := make([]doc.ChangeHash, len(chunks))
	for i, chunk := range chunks {
		var err error
		if hashes[i], err = guard.Hash(chunk); err != nil {
			return nil, nil, fmt.Errorf("change %d of %d: %w: %w", i+1, len(chunks), err, ErrChange)
		}
	}
	if err := applyAll(d, chunks, hashes); err != nil {
		return nil, nil, err
	}
	return appendResult(out, d, doc.Change{}, 0)
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

func read(d *coreDoc, r *request, out []byte) ([]byte, error) {
	b := &decoder{b: r.body}
	at := b.heads()
	if err := b.end(); err != nil {
		return nil, err
	}
	if at != nil && len(at) == 0 {
		return append(out, doc.EncodeValue(doc.NewMap())...), nil
	}
	if err := knows(d, at); err != nil {
		return nil, err
	}
	out, err := d.appendValue(out, at)
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
