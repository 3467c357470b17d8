package rtc

import (
	"fmt"
	neturl "net/url"
	"strings"

	"github.com/pion/webrtc/v4"
)

// iceServers reads the URLs of STUN and TURN servers. Credentials stand before
// the host, as in other URLs; ":", "@" and "%" in them are written as "%3A",
// "%40" and "%25".
func iceServers(urls []string) (out []webrtc.ICEServer, err error) {
	for _, u := range urls {
		s, err := iceServer(u)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func iceServer(url string) (s webrtc.ICEServer, err error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch scheme {
	case "stun", "stuns", "turn", "turns":
	default:
		ok = false
	}
	if !ok || rest == "" {
		return s, fmt.Errorf("ICE server %q: want stun:host or turn:user:password@host", url)
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		u, errU := neturl.PathUnescape(user)
		p, errP := neturl.PathUnescape(password)
		if errU != nil || errP != nil {
			return s, fmt.Errorf("ICE server %s:…@%s: write %% in a name or password as %%25", scheme, rest[at+1:])
		}
		s.Username, s.Credential, rest = u, p, rest[at+1:]
	}
	if strings.HasPrefix(scheme, "turn") && s.Username == "" {
		return s, fmt.Errorf("ICE server %s:%s: TURN needs user:password@", scheme, rest)
	}
	s.URLs = []string{scheme + ":" + rest}
	return s, nil
}
