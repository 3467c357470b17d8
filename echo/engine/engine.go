package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"sync"
	"time"

	"echofs/echo/doc"
)

// Defaults of Options.
const (
	DefaultWorkers     = 2
	DefaultCallTimeout = 5 * time.Second
	DefaultMemoryLimit = 1 << 30
	DefaultCacheBytes  = 64 << 20
)

// Options say how an Engine runs its workers. The zero value is the default.
type Options struct {
	// Command starts a process that calls Main; nil is this program with the
	// argument "engine". A program can also ask IsWorker first of all.
	Command []string

	// Workers is how many processes there are. Two let a slow document not
	// hold up all others.
	Workers int

	// CallTimeout is how long a worker may take to merge changes before it is
	// killed; what brings no bytes of others may take six times as long. Loading ten thousand changes takes a tenth of a second, a text of
	// a million characters four.
	CallTimeout time.Duration

	// MemoryLimit is how many bytes of address space a worker may add to what
	// it starts with. A change that is within the limits of package guard can
	// need a few hundred megabytes.
	MemoryLimit int64

	// CacheBytes is what the loaded documents of one worker may take together;
	// a small one takes 20 kB.
	CacheBytes int64
}

func (o Options) withDefaults() (Options, error) {
	if len(o.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find own program: %w", err)
		}
		o.Command = []string{self, "engine"}
	}
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = DefaultCallTimeout
	}
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = DefaultMemoryLimit
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	return o, nil
}

// Engine is a set of worker processes. Its methods may be called from any
// goroutine.
type Engine struct {
	opts      Options
	keepers   []*keeper
	closed    chan struct{}
	closeOnce sync.Once
}

// New starts the workers and waits until they are ready.
func New(opts Options) (*Engine, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: opts, closed: make(chan struct{})}
	for range opts.Workers {
		e.keepers = append(e.keepers, newKeeper(opts, e.closed))
	}
	for _, k := range e.keepers {
		if err := k.launch(); err != nil {
			e.Close()
			return nil, fmt.Errorf("start engine: %w", err)
		}
	}
	return e, nil
}

// Close kills the workers and waits until they are gone. Calls under way end
// with ErrClosed. A second Close does nothing more.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		close(e.closed)
		for _, k := range e.keepers {
			k.end()
		}
	})
	return nil
}

// Edit applies edits at a base version, makes one change of them, merges it
// with the current version and returns both. Edits that change nothing give a
// zero hash. The errors wrap ErrEdit, ErrBase, ErrBranch, ErrSource, ErrLimit
// or doc.ErrEngine.
func (e *Engine) Edit(ctx context.Context, src doc.Source, req doc.EditRequest) (doc.Result, error) {
	if len(req.Edits) == 0 {
		return doc.Result{}, fmt.Errorf("edit %s: no edits: %w", src.ID, ErrEdit)
	}
	if r, ok := editFirst(src, &req); ok {
		return r, e.alive(ctx)
	}
	return e.result(ctx, opEdit, src, appendEditRequest(nil, &req))
}

// Merge applies changes that are causally ready: each one's dependencies are in
// src or before it in the list. Changes that src has are ignored. The errors
// wrap ErrChange, ErrSource, ErrLimit or doc.ErrEngine; after any of them none
// of the changes counts.
func (e *Engine) Merge(ctx context.Context, src doc.Source, changes [][]byte) (doc.Result, error) {
	if r, ok := mergeFirst(src, changes); ok {
		return r, e.alive(ctx)
	}
	return e.result(ctx, opMerge, src, appendList(nil, changes))
}

// Read returns the whole document at a version; nil means the current one.
func (e *Engine) Read(ctx context.Context, src doc.Source, at doc.Heads) (*doc.Value, error) {
	body, err := e.do(ctx, opRead, src, appendHeads(nil, at))
	if err != nil {
		return nil, err
	}
	v, err := doc.DecodeValue(body)
	return v, garbled(err)
}

// Compact returns one chunk that loads to the same heads and data as src,
// verified by loading it. Where it would not, the error wraps ErrCompact.
func (e *Engine) Compact(ctx context.Context, src doc.Source) ([]byte, error) {
	return e.do(ctx, opCompact, src, nil)
}

// Changes returns all changes of src in causal order.
func (e *Engine) Changes(ctx context.Context, src doc.Source) ([]doc.Change, error) {
	body, err := e.do(ctx, opChanges, src, nil)
	if err != nil {
		return nil, err
	}
	list, err := decodeChanges(body)
	return list, garbled(err)
}

// Conflicts lists the places with more than one concurrent value, in the order
// of the document.
func (e *Engine) Conflicts(ctx context.Context, src doc.Source) ([]doc.Conflict, error) {
	body, err := e.do(ctx, opConflicts, src, nil)
	if err != nil {
		return nil, err
	}
	list, err := decodeConflicts(body)
	return list, garbled(err)
}

// alive returns an error where a call could not have taken its turn.
func (e *Engine) alive(ctx context.Context) error {
	select {
	case <-e.closed:
		return ErrClosed
	default:
		return context.Cause(ctx)
	}
}

func (e *Engine) result(ctx context.Context, op opcode, src doc.Source, body []byte) (doc.Result, error) {
	reply, err := e.do(ctx, op, src, body)
	if err != nil {
		return doc.Result{}, err
	}
	r, err := decodeResult(reply)
	return r, garbled(err)
}

// garbled marks the error of a reply that cannot be read.
func garbled(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read the worker's reply: %w: %w", err, doc.ErrEngine)
}

// do runs one operation, sending the document's chunks if the worker needs
// them, and returns the body of the reply.
func (e *Engine) do(ctx context.Context, op opcode, src doc.Source, body []byte) ([]byte, error) {
	k := e.keepers[sticky(src.ID, len(e.keepers))]
	r := &request{op: op, id: src.ID, heads: src.Heads, body: body}
	reply, err := e.ask(ctx, k, r)
	if errors.Is(err, errNeed) {
		if r.chunks, err = load(ctx, src); err != nil {
			return nil, err
		}
		r.hasChunks = true
		reply, err = e.ask(ctx, k, r)
	}
	if errors.Is(err, errNeed) {
		err = garbled(err)
	}
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", src.ID, err)
	}
	return reply, nil
}

// sticky returns which of n workers a document belongs to.
func sticky(id doc.DocumentID, n int) int {
	h := fnv.New32a()
	h.Write(id[:])
	return int(h.Sum32() % uint32(n))
}

func load(ctx context.Context, src doc.Source) ([][]byte, error) {
	if src.Load == nil {
		return nil, fmt.Errorf("document %s: no way to load it: %w", src.ID, ErrSource)
	}
	chunks, err := src.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load document %s: %w", src.ID, err)
	}
	return chunks, nil
}

// errNeed is the reply of a worker that does not hold the version.
var errNeed = errors.New("the worker does not have the document")

// ownPatience is how many times longer than CallTimeout a request may take that
// brings no bytes of others: only a merge can be hostile, and an honest save
// against an old version of a long history can be slow.
const ownPatience = 6

func (e *Engine) patience(op opcode) time.Duration {
	if op == opMerge {
		return e.opts.CallTimeout
	}
	return ownPatience * e.opts.CallTimeout
}

// ask sends one request and returns the body of a good reply.
func (e *Engine) ask(ctx context.Context, k *keeper, r *request) ([]byte, error) {
	frame := appendRequest(make([]byte, frameRoom, 256+len(r.body)), r)
	if len(frame)-frameRoom > maxFrame {
		return nil, fmt.Errorf("request of %d bytes: %w", len(frame), ErrLimit)
	}
	reply, err := k.call(ctx, frame, e.patience(r.op))
	if err != nil {
		return nil, err
	}
	switch {
	case len(reply) >= 1 && reply[0] == replyOK:
		return reply[1:], nil
	case len(reply) == 1 && reply[0] == replyNeed:
		return nil, errNeed
	case len(reply) >= 2 && reply[0] == replyError && int(reply[1]) < len(errorCodes):
		return nil, &remoteError{text: string(reply[2:]), kind: errorCodes[reply[1]]}
	}
	return nil, garbled(errMessage)
}
