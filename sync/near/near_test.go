package near_test

import (
	"testing"

	"echofs/sync/near"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:80": true, "::1": true, "[::1]:80": true, "10.1.2.3": true,
		"192.168.7.1:9": true, "172.16.0.1": true, "169.254.1.1": true, "fe80::1": true, "[fe80::1%eth0]:80": true,
		"fd00::1": true, "::ffff:10.0.0.1": true,
		"8.8.8.8": false, "8.8.8.8:53": false, "2001:db8::1": false, "example.org": false, "example.org:80": false, "": false,
	} {
		if got := near.Host(host); got != want {
			t.Errorf("Host(%q): got %v, want %v", host, got, want)
		}
	}
}
