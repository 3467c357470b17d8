package rtc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"echofs/sync/session"
)

// Options configure an API.
type Options struct {
	// ICE are the URLs of STUN and TURN servers: "stun:host:port",
	// "turn:user:password@host:port?transport=udp".
	ICE []string
	// NoLocal refuses loopback and link-local candidates of peers, so that a
	// member cannot make this machine knock at its own ports.
	NoLocal bool
	// Net replaces the operating system's network, in tests.
	Net transport.Net
}

// The times and sizes of connections.
const (
	receiveWindow = 4 << 20 // bytes
	rtoMax        = time.Second
	relayWait     = 200 * time.Millisecond // for a direct path, before a relayed one is taken
	disconnected  = 4 * time.Second        // without any packet
	failed        = 6 * time.Second        // after that
	keepAlive     = 2 * time.Second
)

// Server is a STUN or TURN server.
type Server struct {
	URLs     []string // "stun:host:port", "turn:host:port?transport=udp"
	Username string
	Password string
}

// API makes connections.
type API struct {
	api   *webrtc.API
	net   transport.Net
	given []webrtc.ICEServer // by the options

	mu    sync.Mutex // guards the below
	found []webrtc.ICEServer
}

// SetServers replaces the servers that are used beside those of the options.
func (a *API) SetServers(list []Server) {
	var found []webrtc.ICEServer
	for _, s := range list {
		found = append(found, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Password})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = found
}

// servers returns all servers.
func (a *API) servers() []webrtc.ICEServer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Concat(a.given, a.found)
}

// New returns an API. It fails for malformed server URLs.
func New(opts Options) (*API, error) {
	servers, err := iceServers(opts.ICE)
	if err != nil {
		return nil, err
	}
	network := opts.Net
	if network == nil {
		if network, err = newBufferedNet(); err != nil {
			return nil, fmt.Errorf("list network interfaces: %w", err)
		}
	}
	return &API{
		api:   webrtc.NewAPI(webrtc.WithSettingEngine(settings(opts, network))),
		net:   network,
		given: servers,
	}, nil
}

// Addresses returns the addresses of this device now, without loopback and
// link-local ones, in order.
func (a *API) Addresses() ([]string, error) {
	all, err := a.net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, one := range all {
		addrs, err := one.Addrs()
		if err != nil || one.Flags&net.FlagUp == 0 {
			continue // it has none
		}
		for _, addr := range addrs {
			ip, ok := addr.(*net.IPNet)
			if ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
				out = append(out, ip.IP.String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func settings(opts Options, network transport.Net) webrtc.SettingEngine {
	se := webrtc.SettingEngine{LoggerFactory: silent{}}
	se.DetachDataChannels()
	se.EnableDataChannelBlockWrite(true)
	se.SetNet(network)
	se.SetSCTPMaxReceiveBufferSize(receiveWindow)
	se.SetSCTPMaxMessageSize(session.MaxFrame)
	se.EnableSCTPZeroChecksum(true)
	se.SetSCTPRTOMax(rtoMax)
	se.EnableSctpSnap(true)
	se.SetDTLSExtendedMasterSecret(dtls.RequireExtendedMasterSecret)
	se.SetDTLSCipherSuites(
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetICETimeouts(disconnected, failed, keepAlive)
	se.SetRelayAcceptanceMinWait(relayWait)
	se.SetIncludeLoopbackCandidate(!opts.NoLocal)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if opts.NoLocal {
		se.SetRemoteIPFilter(func(ip net.IP) bool { return !ip.IsLoopback() && !ip.IsLinkLocalUnicast() })
	}
	return se
}

// newCertificate returns a certificate for one connection.
func newCertificate() (webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Certificate{}, fmt.Errorf("generate certificate key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return webrtc.Certificate{}, fmt.Errorf("generate certificate: %w", err)
	}
	return *cert, nil
}

// silent discards the library's log: it would tell addresses.
type silent struct{}

func (silent) NewLogger(string) logging.LeveledLogger {
	return &logging.DefaultLeveledLogger{}
}
