package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Client makes calls.
type Client struct {
	http *http.Client
}

// NewClient returns a client that sends its requests by rt: Local, or Dialer.
func NewClient(rt http.RoundTripper) *Client { return &Client{http: &http.Client{Transport: rt}} }

// Close drops the connections that are kept for later calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call makes a call that is answered by one item.
func Call[Req, Item any](ctx context.Context, c *Client, rpc RPC[Req, Item], req Req) (Item, error) {
	return single(ctx, c, rpc, req, nil)
}

// Send makes a call whose request is followed by the bytes of body.
func Send[Req, Item any](ctx context.Context, c *Client, rpc RPC[Req, Item], req Req, body io.Reader) (Item, error) {
	return single(ctx, c, rpc, req, body)
}

func single[Req, Item any](ctx context.Context, c *Client, rpc RPC[Req, Item], req Req, body io.Reader) (Item, error) {
	var item Item
	n := 0
	err := c.do(ctx, rpc.Method, req, body, func(raw json.RawMessage) error {
		n++
		return json.Unmarshal(raw, &item)
	})
	if err == nil && n != 1 {
		err = fmt.Errorf("%s: %d items in the reply, want one", rpc.Name, n)
	}
	return item, err
}

// Each makes a call that is answered by a stream, and calls fn with every item.
// An error of fn ends the call and is returned.
func Each[Req, Item any](ctx context.Context, c *Client, rpc RPC[Req, Item], req Req, fn func(Item) error) error {
	return c.do(ctx, rpc.Method, req, nil, func(raw json.RawMessage) error {
		var item Item
		if err := json.Unmarshal(raw, &item); err != nil {
			return err
		}
		return fn(item)
	})
}

// do sends one request and reads its reply.
func (c *Client) do(ctx context.Context, m Method, req any, body io.Reader, item func(json.RawMessage) error) error {
	doc, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	var payload io.Reader = bytes.NewReader(append(doc, '\n'))
	if body != nil {
		payload = io.MultiReader(payload, body)
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://vault"+pathPrefix+m.Name, payload)
	if err != nil {
		return err
	}
	res, err := c.http.Do(hr)
	if err != nil {
		return callError(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the daemon answered %s", res.Status)
	}
	return readReply(ctx, res.Body, item)
}

func readReply(ctx context.Context, body io.Reader, item func(json.RawMessage) error) error {
	dec := json.NewDecoder(body)
	for {
		var l line
		if err := dec.Decode(&l); err != nil {
			return callError(ctx, err)
		}
		switch {
		case l.Error != nil:
			return l.Error
		case l.Done:
			return nil
		}
		if err := item(l.Item); err != nil {
			return err
		}
	}
}

// callError tells the end of our own patience from a daemon that ended.
func callError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return fmt.Errorf("call the daemon: %w", err)
}
