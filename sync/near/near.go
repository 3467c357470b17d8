// Package near tells addresses of the networks that this machine is in from
// those of the internet.
package near

import (
	"net"
	"net/netip"
	"slices"
)

// Is reports whether an address is within this machine's networks, or one that
// has no meaning outside of somebody's network: loopback, link-local, private.
func Is(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return false
	}
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()).Contains(addr.WithZone(""))
	})
}

// Host reports Is of the host of "host:port" or of a host alone; false for a
// name.
func Host(s string) bool {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(s)
	return err == nil && Is(addr)
}
