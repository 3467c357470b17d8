package rtc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pion/webrtc/v4"

	"echofs/sync/near"
	"echofs/sync/session"
)

// Path says how a connection reaches the other end.
type Path string

// The paths.
const (
	PathLAN    Path = "lan"    // within one network or machine
	PathDirect Path = "direct" // over the internet, directly
	PathRelay  Path = "relay"  // through a TURN server
)

// Conn is a connection.
type Conn struct {
	at      *Attempt
	lanes   [3]channel
	binding session.Binding
}

func newConn(at *Attempt) (*Conn, error) {
	c := &Conn{at: at}
	for i, dc := range at.channels {
		raw, err := dc.Detach()
		if err != nil {
			return nil, fmt.Errorf("detach channel: %w", err)
		}
		c.lanes[i] = channel{raw}
	}
	transport := at.pc.SCTP().Transport()
	local, err := localFingerprint(transport)
	if err != nil {
		return nil, err
	}
	cert := transport.GetRemoteCertificate()
	if len(cert) == 0 {
		return nil, errors.New("no certificate of the other end")
	}
	c.binding = session.Binding{Transport: "webrtc", Local: local, Remote: sha256.Sum256(cert)}
	return c, nil
}

func localFingerprint(t *webrtc.DTLSTransport) (sum [32]byte, err error) {
	params, err := t.GetLocalParameters()
	if err != nil {
		return sum, fmt.Errorf("own certificate: %w", err)
	}
	for _, f := range params.Fingerprints {
		if f.Algorithm != "sha-256" {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(f.Value, ":", ""))
		if err == nil && len(b) == len(sum) {
			return [32]byte(b), nil
		}
	}
	return sum, errors.New("own certificate: no sha-256 fingerprint")
}

// Channel implements session.Conn.
func (c *Conn) Channel(l session.Lane) session.Channel { return c.lanes[l] }

// Binding implements session.Conn.
func (c *Conn) Binding() session.Binding { return c.binding }

// Close implements session.Conn. It waits until the connection's goroutines
// have ended.
func (c *Conn) Close() error {
	c.at.Close()
	return nil
}

// Down is closed when the connection is closed or lost.
func (c *Conn) Down() <-chan struct{} { return c.at.down }

// LocalAddress returns the address of this device that the connection uses, ""
// where that is not known.
func (c *Conn) LocalAddress() string {
	pair, err := c.at.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	switch {
	case err != nil || pair == nil:
		return ""
	case pair.Local.Typ != webrtc.ICECandidateTypeHost:
		return pair.Local.RelatedAddress
	}
	return pair.Local.Address
}

// Path returns how the other end is reached now.
func (c *Conn) Path() Path {
	pair, err := c.at.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return PathDirect
	}
	if pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay {
		return PathRelay
	}
	if near.Host(pair.Remote.Address) {
		return PathLAN
	}
	return PathDirect
}

// channel is a data channel, of which a read or write is a message.
type channel struct{ io.ReadWriteCloser }
