package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/sync/signal"
	"echofs/sync/turn"
)

// defaultListen is where a signaling server listens unless told otherwise.
const defaultListen = ":7667"

// signalFlags is what `signal` can be told.
type signalFlags struct {
	listen     string
	turn, stun string
	turnIP     string
	turnHost   string
	secretFile string
}

func (a *app) signalCommand() *cobra.Command {
	var f signalFlags
	c := &cobra.Command{
		Use:   "signal",
		Short: "Run a rendezvous, where devices find each other",
		Long: `Run a rendezvous, where devices find each other to connect directly. It needs no
account and keeps nothing: it sees random topics, sealed boxes and addresses.
Put a TLS proxy before it to serve wss. GET /health answers with its load.

With --turn ADDR it also relays for devices that no direct way connects (STUN and
TURN, over UDP and TCP), and GET /turn hands out credentials for that, valid for
twelve hours; devices that use this rendezvous ask for them by themselves. What
is relayed is encrypted from end to end. --stun ADDR tells devices their outside
address and relays nothing. --turn-secret-file shares the secret of the
credentials with other TURN servers ("static auth secret").

It prints its URL when it is ready: "--listen 127.0.0.1:0" takes a free port.`,
		Example: "  echofs signal --listen :7667\n  echofs signal --turn :3478 --turn-ip 203.0.113.7\n  echofs mount --signal ws://rendezvous.example.org:7667",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			err := a.runSignal(c.Context(), f)
			if err != nil {
				err = fmt.Errorf("run the rendezvous: %w", err)
			}
			return err
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.listen, "listen", defaultListen, "address and port to listen on")
	fl.StringVar(&f.turn, "turn", "", "address and port of a TURN server beside it")
	fl.StringVar(&f.stun, "stun", "", "address and port of a STUN server beside it, which relays nothing")
	fl.StringVar(&f.turnIP, "turn-ip", "", "IP address of this machine on the internet (default: that of --turn)")
	fl.StringVar(&f.turnHost, "turn-host", "", "name of the TURN server for devices (default: that of the rendezvous)")
	fl.StringVar(&f.secretFile, "turn-secret-file", "", "file with the secret of TURN credentials (default: random)")
	return c
}

func (a *app) runSignal(ctx context.Context, f signalFlags) error {
	opts := signal.ServerOptions{Logger: slog.New(slog.NewTextHandler(a.stderr, nil))}
	bound := struct {
		URL  string `json:"url"`
		Turn string `json:"turn,omitempty"`
	}{}
	relay, err := f.startTurn(ctx)
	if err != nil {
		return err
	}
	if relay != nil {
		opts.Turn, bound.Turn = relay, relay.Addr().String()
	}
	var printed error
	err = signal.NewServer(opts).Serve(ctx, f.listen, func(addr net.Addr) {
		bound.URL = "ws://" + addr.String()
		printed = a.emit(bound, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, bound.URL)
			if bound.Turn != "" {
				_, _ = fmt.Fprintln(w, "turn at "+bound.Turn)
			}
		})
	})
	if relay != nil {
		err = errors.Join(err, relay.Close())
	}
	return errors.Join(err, printed)
}

// startTurn starts the TURN or STUN server; nil if none is wanted.
func (f signalFlags) startTurn(ctx context.Context) (*turn.Server, error) {
	opts := turn.Options{Listen: f.turn, Host: f.turnHost}
	if f.turn != "" && f.stun != "" {
		return nil, fmt.Errorf("--turn answers STUN too: give one of --turn and --stun: %w", control.ErrUsage)
	}
	if f.stun != "" {
		opts.Listen, opts.STUNOnly = f.stun, true
	}
	if opts.Listen == "" {
		return nil, nil
	}
	if f.turnIP != "" {
		ip, err := netip.ParseAddr(f.turnIP)
		if err != nil {
			return nil, fmt.Errorf("--turn-ip %q: not an IP address: %w", f.turnIP, control.ErrUsage)
		}
		opts.Relay = ip
	}
	if f.secretFile != "" {
		b, err := os.ReadFile(f.secretFile)
		if err != nil {
			return nil, fmt.Errorf("read the TURN secret: %w", err)
		}
		opts.Secret = strings.TrimSpace(string(b))
	}
	return turn.Start(ctx, opts)
}
