package rtc

import (
	"fmt"
	"net"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// socketBuffer is the size of the socket buffers asked for, in bytes; the
// kernel gives at most net.core.rmem_max and wmem_max.
const socketBuffer = 4 << 20

// bufferedNet is the operating system's network with large socket buffers.
type bufferedNet struct{ *stdnet.Net }

func newBufferedNet() (transport.Net, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return bufferedNet{n}, nil
}

// ListenUDP implements transport.Net.
// Interfaces returns the interfaces that there are now: those of stdnet are the
// ones that there were when it was made, and a device moves between networks.
func (bufferedNet) Interfaces() ([]*transport.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	return now.Interfaces()
}

func (n bufferedNet) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	// A kernel that refuses leaves a smaller buffer, which works too.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	return conn, nil
}

// ListenPacket implements transport.Net.
func (n bufferedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if udp, ok := conn.(transport.UDPConn); ok {
		_ = udp.SetReadBuffer(socketBuffer)
		_ = udp.SetWriteBuffer(socketBuffer)
	}
	return conn, nil
}
