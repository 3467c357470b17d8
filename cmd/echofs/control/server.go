package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// MaxRequest bounds the JSON document of a request, in bytes.
const MaxRequest = 1 << 20

const (
	pathPrefix  = "/v1/"
	contentType = "application/x-ndjson"
)

// line is one line of a reply; exactly one field is set.
type line struct {
	Item  json.RawMessage `json:"item,omitempty"`
	Done  bool            `json:"done,omitempty"`
	Error *Error          `json:"error,omitempty"`
}

// exchange is one call as a handler sees it, without types.
type exchange struct {
	decode func(into any) error
	body   io.Reader
	send   func(item any) error
}

type handler struct {
	method Method
	serve  func(context.Context, exchange) error
}

// Server answers calls. It is an http.Handler. Register the methods before the
// first call.
type Server struct {
	handlers map[string]handler
	caller   Caller
	log      *slog.Logger
}

// NewServer returns a server that answers every caller as the vault's owner:
// it belongs behind Listen or Local.
func NewServer(log *slog.Logger) *Server {
	return &Server{handlers: map[string]handler{}, caller: Caller{Owner: true}, log: log}
}

// Missing lists the methods that nobody answers yet.
func (s *Server) Missing() []string {
	var out []string
	for _, m := range Methods() {
		if _, ok := s.handlers[m.Name]; !ok {
			out = append(out, m.Name)
		}
	}
	return out
}

// Handle answers a method with one item.
func Handle[Req, Item any](s *Server, rpc RPC[Req, Item], fn func(context.Context, Req) (Item, error)) {
	s.add(rpc.Method, func(ctx context.Context, x exchange) error {
		var req Req
		if err := x.decode(&req); err != nil {
			return err
		}
		item, err := fn(ctx, req)
		if err != nil {
			return err
		}
		return x.send(item)
	})
}

// HandleStream answers a method with any number of items. An error of send
// means that the caller has gone; fn returns it.
func HandleStream[Req, Item any](s *Server, rpc RPC[Req, Item],
	fn func(ctx context.Context, req Req, send func(Item) error) error) {
	s.add(rpc.Method, func(ctx context.Context, x exchange) error {
		var req Req
		if err := x.decode(&req); err != nil {
			return err
		}
		return fn(ctx, req, func(item Item) error { return x.send(item) })
	})
}

// HandleUpload answers a method whose request is followed by raw bytes.
func HandleUpload[Req, Item any](s *Server, rpc RPC[Req, Item],
	fn func(ctx context.Context, req Req, body io.Reader) (Item, error)) {
	s.add(rpc.Method, func(ctx context.Context, x exchange) error {
		var req Req
		if err := x.decode(&req); err != nil {
			return err
		}
		item, err := fn(ctx, req, x.body)
		if err != nil {
			return err
		}
		return x.send(item)
	})
}

func (s *Server) add(m Method, serve func(context.Context, exchange) error) {
	s.handlers[m.Name] = handler{m, serve}
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", contentType)
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	reply := func(l line) error {
		if err := out.Encode(l); err != nil {
			return err
		}
		return flush.Flush()
	}
	err := s.answer(r, reply)
	last := line{Done: true}
	if err != nil {
		last = line{Error: wire(err)}
	}
	// Nothing can be done for a caller that is gone.
	_ = reply(last)
}

// answer runs the method of a request. A defect in a handler costs its caller
// an error, and nobody else anything.
func (s *Server) answer(r *http.Request, reply func(line) error) (err error) {
	name := strings.TrimPrefix(r.URL.Path, pathPrefix)
	h, ok := s.handlers[name]
	if !ok {
		return &Error{Code: Failed, Message: fmt.Sprintf("this version of echofs does not know %q", name),
			Hint: "stop the daemon (echofs umount) and start it again, so that both are of one version"}
	}
	if err := authorize(s.caller, h.method); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a request failed by a defect", "method", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: a defect in echofs: %v", name, p)
		}
	}()
	decode, rest := requestDecoder(r.Body)
	return h.serve(r.Context(), exchange{decode: decode, body: rest, send: func(item any) error {
		b, err := json.Marshal(item)
		if err != nil {
			return fmt.Errorf("encode reply: %w", err)
		}
		return reply(line{Item: b})
	}})
}

// requestDecoder returns a function that reads the JSON document at the
// beginning of body, and a reader of what follows it.
func requestDecoder(body io.Reader) (decode func(any) error, rest io.Reader) {
	limited := &io.LimitedReader{R: body, N: MaxRequest}
	dec := json.NewDecoder(limited)
	dec.DisallowUnknownFields()
	decode = func(into any) error {
		if err := dec.Decode(into); err != nil {
			if limited.N == 0 {
				return fmt.Errorf("request larger than %d bytes: %w", MaxRequest, ErrUsage)
			}
			return fmt.Errorf("read request: %w: %w", err, ErrUsage)
		}
		return nil
	}
	return decode, &remainder{open: func() io.Reader {
		return &afterNewline{r: io.MultiReader(dec.Buffered(), limited, body)}
	}}
}

// remainder is a reader that is made when it is first read: the decoder knows
// what is left over only after it has decoded.
type remainder struct {
	open func() io.Reader
	r    io.Reader
}

func (r *remainder) Read(p []byte) (int, error) {
	if r.r == nil {
		r.r = r.open()
	}
	return r.r.Read(p)
}

// afterNewline drops the newline between the request and what follows.
type afterNewline struct {
	r    io.Reader
	past bool
}

func (a *afterNewline) Read(p []byte) (int, error) {
	if !a.past {
		var one [1]byte
		if _, err := io.ReadFull(a.r, one[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, io.EOF
			}
			return 0, err
		}
		if one[0] != '\n' {
			return 0, fmt.Errorf("no newline after the request: %w", ErrUsage)
		}
		a.past = true
	}
	return a.r.Read(p)
}
