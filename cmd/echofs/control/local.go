package control

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// Local returns a transport that answers by calling h in this process. A reply
// is streamed as h writes it. The body of a reply must be closed; that cancels
// the request's context and waits for h to return.
func Local(h http.Handler) http.RoundTripper { return local{h} }

type local struct{ h http.Handler }

func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	pr, pw := io.Pipe()
	w := &localWriter{header: http.Header{}, pipe: pw, started: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = pw.Close() }()
		l.h.ServeHTTP(w, r.Clone(ctx))
		w.WriteHeader(http.StatusOK)
	}()
	body := &localBody{PipeReader: pr, cancel: cancel, done: done}
	select {
	case <-w.started:
	case <-ctx.Done():
		_ = body.Close()
		return nil, ctx.Err()
	}
	return &http.Response{StatusCode: w.code, Status: http.StatusText(w.code), Header: w.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Body: body, Request: r}, nil
}

// localWriter is the ResponseWriter of one call; one goroutine uses it.
type localWriter struct {
	header  http.Header
	pipe    *io.PipeWriter
	once    sync.Once
	code    int
	started chan struct{} // closed when code is set
}

func (w *localWriter) Header() http.Header { return w.header }

func (w *localWriter) WriteHeader(code int) {
	w.once.Do(func() {
		w.code = code
		close(w.started)
	})
}

func (w *localWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush has nothing to do: the reader takes bytes as they are written.
func (w *localWriter) Flush() { w.WriteHeader(http.StatusOK) }

// localBody ends the call when it is closed.
type localBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

func (b *localBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.done
	return err
}
