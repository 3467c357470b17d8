package rtc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// MaxSDP is the largest SDP that is read, in bytes.
const MaxSDP = 16 << 10

// ErrSDP: a session description that no correct peer sends.
var ErrSDP = errors.New("unacceptable session description")

// clean returns what of a peer's SDP is acceptable: exactly one section, which
// is of data channels, and no fingerprints but SHA-256, since any listed one
// would satisfy DTLS.
func clean(text string) (string, error) {
	if len(text) > MaxSDP {
		return "", fmt.Errorf("%d bytes: %w", len(text), ErrSDP)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSDP, err)
	}
	if len(d.MediaDescriptions) != 1 || d.MediaDescriptions[0].MediaName.Media != "application" {
		return "", fmt.Errorf("%d sections: %w", len(d.MediaDescriptions), ErrSDP)
	}
	m := d.MediaDescriptions[0]
	d.Attributes, m.Attributes = onlySHA256(d.Attributes), onlySHA256(m.Attributes)
	if fingerprints(d.Attributes)+fingerprints(m.Attributes) == 0 {
		return "", fmt.Errorf("no sha-256 fingerprint: %w", ErrSDP)
	}
	out, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSDP, err)
	}
	return string(out), nil
}

func onlySHA256(in []sdp.Attribute) (out []sdp.Attribute) {
	for _, a := range in {
		if a.Key == "fingerprint" && !strings.HasPrefix(strings.ToLower(a.Value), "sha-256 ") {
			continue
		}
		out = append(out, a)
	}
	return out
}

func fingerprints(list []sdp.Attribute) (n int) {
	for _, a := range list {
		if a.Key == "fingerprint" {
			n++
		}
	}
	return n
}
