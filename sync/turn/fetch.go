package turn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxOffer bounds an Offer, in bytes, and maxURLs its URLs.
const (
	maxOffer = 16 << 10
	maxURLs  = 8
)

// ErrNone: the rendezvous has no TURN server to offer.
var ErrNone = errors.New("no TURN server offered")

// Fetch asks the rendezvous at signal ("ws://…", "wss://…") for an Offer. It
// fails with ErrNone where there is none. A nil client is the standard one.
func Fetch(ctx context.Context, client *http.Client, signal string) (o Offer, err error) {
	if client == nil {
		client = http.DefaultClient
	}
	u, err := url.Parse(signal)
	if err != nil {
		return o, fmt.Errorf("ask for a TURN server: %w", err)
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("turn").String(), nil)
	if err != nil {
		return o, fmt.Errorf("ask for a TURN server: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return o, fmt.Errorf("ask for a TURN server: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNotFound {
		return o, ErrNone
	}
	if res.StatusCode != http.StatusOK {
		return o, fmt.Errorf("ask for a TURN server: %s", res.Status)
	}
	return parse(io.LimitReader(res.Body, maxOffer))
}

// parse reads what anybody may have sent.
func parse(r io.Reader) (o Offer, err error) {
	if err := json.NewDecoder(r).Decode(&o); err != nil {
		return Offer{}, fmt.Errorf("read the offer of a TURN server: %w", err)
	}
	if len(o.URLs) == 0 || len(o.URLs) > maxURLs || len(o.Username) > 256 || len(o.Password) > 256 || o.Seconds <= 0 {
		return Offer{}, errors.New("read the offer of a TURN server: beyond its limits")
	}
	for _, u := range o.URLs {
		scheme, rest, _ := strings.Cut(u, ":")
		known := scheme == "stun" || scheme == "stuns" || (scheme == "turn" || scheme == "turns") && o.Username != ""
		if !known || rest == "" || len(u) > 512 {
			return Offer{}, fmt.Errorf("read the offer of a TURN server: URL %q", u)
		}
	}
	return o, nil
}
