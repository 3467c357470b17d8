package vault

import (
	"context"
	"fmt"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/lan"
)

// network is the running network of a vault.
type network struct {
	*echosync.Network
	ctx context.Context // ends when the vault is closed
}

// openNetwork starts the network, unless it is not wanted.
func (v *Vault) openNetwork(context.Context) error {
	if v.opts.Offline {
		return nil
	}
	opts := echosync.Options{Signal: v.config.Signal, ICE: v.config.ICE, NoLAN: v.config.NoLAN, Logger: v.log}
	if !v.config.NoLAN {
		opts.LAN = &lan.Options{}
	}
	n, err := echosync.New(echosync.Vault(v.repo), opts)
	if err != nil {
		return control.WithHint(err, "correct the addresses: echofs mount --signal URL, --ice URL")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	v.net = &network{n, ctx}
	v.presences = newPresences(n.SetOpen)
	v.onClose(func() error {
		v.presences.close()
		cancel()
		return <-ended
	})
	return nil
}

func (v *Vault) registerNetwork() {
	control.Handle(v.server, control.GetPeers, v.peers)
	control.HandleStream(v.server, control.Wait, v.wait)
	v.registerInvitations()
}

// online returns the network, or an error that says how to have one.
func (v *Vault) online(doing string) (*network, error) {
	if v.net == nil {
		return nil, control.WithHint(fmt.Errorf("%s: this vault was opened without network: %w", doing, echosync.ErrOffline),
			"unmount, and mount without --offline")
	}
	return v.net, nil
}

func (v *Vault) connected() []echosync.PeerInfo {
	if v.net == nil {
		return nil
	}
	return v.net.Peers()
}

func (v *Vault) peers(context.Context, control.None) ([]control.Peer, error) {
	out := []control.Peer{}
	for _, p := range v.connected() {
		if v.isOwn(p.Space) {
			continue // people know nothing of it
		}
		one := control.Peer{Device: p.Device.String(), Name: p.Device.Short(), Space: p.SpaceName, Path: p.Path,
			RTT: float64(p.RTT.Microseconds()) / 1000, EntriesBehind: p.EntriesBehind,
			Role: p.Role.String(), Ahead: p.Ahead, Lost: p.Lost, NoRoom: p.NoRoom}
		if s, ok := v.repo.SpaceByID(p.Space); ok {
			one.Name = deviceName(s, one.Device, one.Name)
		}
		out = append(out, one)
	}
	return out, nil
}

// deviceName returns the name that a device shows in a space.
func deviceName(s *echo.Space, id, fallback string) string {
	for _, m := range s.MemberList() {
		for _, d := range m.Devices {
			if d.ID == id && d.Name != "" {
				return d.Name
			}
		}
	}
	return fallback
}

func (v *Vault) peerCount(space echo.SpaceID) int {
	if v.net == nil {
		return 0
	}
	return v.net.Connected(space)
}

// reachedCount returns how many devices are there about a space, connected or
// through others.
func (v *Vault) reachedCount(space echo.SpaceID) int {
	if v.net == nil {
		return 0
	}
	return v.net.Reached(space)
}

// present returns the ids of the devices that are connected about a space.
func (v *Vault) present(space echo.SpaceID) map[string]bool {
	out := map[string]bool{}
	for _, p := range v.connected() {
		if p.Space == space {
			out[p.Device.String()] = true
		}
	}
	return out
}

// networkWarnings tells why other devices may not be found.
func (v *Vault) networkWarnings() []control.Warning {
	if v.net == nil || !v.opts.Daemon {
		return nil
	}
	switch {
	case len(v.net.Signal()) == 0 && v.hasOthers():
		message := "no signaling server: devices are found on the local network only"
		if v.config.NoLAN {
			message = "no signaling server: other devices are not found"
		}
		return []control.Warning{{Code: "no_signal", Message: message,
			Fix: "echofs mount --signal URL (anyone can run one: echofs signal)"}}
	case len(v.net.Signal()) > 0 && v.net.SignalConnected() == 0:
		return []control.Warning{{Code: "signal_unreachable", Message: "no signaling server can be reached",
			Fix: "see: echofs doctor"}}
	}
	return nil
}

// peerWarnings tells of devices that do not do what they should.
func (v *Vault) peerWarnings() (out []control.Warning) {
	for _, p := range v.connected() {
		s, ok := v.repo.SpaceByID(p.Space)
		if !ok {
			continue
		}
		name := deviceName(s, p.Device.String(), p.Device.Short())
		if p.Lost > 0 {
			out = append(out, control.Warning{Code: "stale",
				Message: fmt.Sprintf("%s: %s is stale: it came back without %d entries that it had acknowledged; it gets them again, and nothing goes back here", s.Name(), name, p.Lost),
				Fix:     "if it was restored from an old copy this is harmless; else do not rely on it"})
		}
		if p.NoRoom {
			out = append(out, control.Warning{Code: "no_room",
				Message: fmt.Sprintf("%s: %s keeps no more: its quota is used up", s.Name(), name),
				Fix:     "on that machine: echofs serve --quota SIZE --device-quota SIZE"})
		}
	}
	if v.net == nil {
		return out
	}
	for _, device := range v.net.Blamed() {
		out = append(out, control.Warning{Code: "peer_fault",
			Message: fmt.Sprintf("%s sent what no correct device sends; it was refused, and comes from others", v.nameOf(device)),
			Fix:     "see the log; if it goes on, remove the member or the relay"})
	}
	return out
}

// nameOf returns the name that a device shows in any space.
func (v *Vault) nameOf(device halo.DeviceID) string {
	for _, s := range v.repo.Spaces() {
		if name := deviceName(s, device.String(), ""); name != "" {
			return name
		}
	}
	return device.Short()
}

// unreached returns how many entries of those that the host of the invitation had
// are neither here nor with any connected device.
func (v *Vault) unreached(s *echo.Space, floor uint64) uint64 {
	ahead, others := uint64(0), false
	for _, p := range v.connected() {
		if p.Space == s.ID() {
			ahead, others = max(ahead, p.Ahead), true
		}
	}
	if !others || ahead >= floor {
		return 0
	}
	return floor - ahead
}

// hasOthers reports whether any space has another device than this one.
func (v *Vault) hasOthers() bool {
	for _, s := range v.repo.Spaces() {
		if len(s.Behind()) > 0 {
			return true
		}
	}
	return false
}
