package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"echofs/sync/signal"
)

// defaultListen is where a signaling server listens unless told otherwise.
const defaultListen = ":7667"

func (a *app) signalCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "signal",
		Short: "Run a rendezvous, where devices find each other",
		Long: `Run a rendezvous, where devices find each other to connect directly. It needs no
account and keeps nothing: it sees random topics, sealed boxes and addresses.
Put a TLS proxy before it to serve wss. GET /health answers with its load.

It prints its URL when it is ready: "--listen 127.0.0.1:0" takes a free port.`,
		Example: "  echofs signal --listen :7667\n  echofs mount --signal ws://rendezvous.example.org:7667",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s := signal.NewServer(signal.ServerOptions{Logger: slog.New(slog.NewTextHandler(a.stderr, nil))})
			var printed error
			err := s.Serve(c.Context(), listen, func(addr net.Addr) {
				bound := struct {
					URL string `json:"url"`
				}{"ws://" + addr.String()}
				printed = a.emit(bound, func(w io.Writer) { _, _ = fmt.Fprintln(w, bound.URL) })
			})
			if err != nil {
				err = fmt.Errorf("run the rendezvous: %w", err)
			}
			return errors.Join(err, printed)
		},
	}
	c.Flags().StringVar(&listen, "listen", defaultListen, "address and port to listen on")
	return c
}
