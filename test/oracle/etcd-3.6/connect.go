package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// credentials are what every connection of this process shows, and whom it trusts.
var credentials struct {
	user, caCert string
}

func credentialFlags(flags *flag.FlagSet) {
	flags.StringVar(&credentials.user, "user", "", "name:password")
	flags.StringVar(&credentials.caCert, "cacert", "", "authority of an https endpoint, PEM")
}

// connect opens one connection of its own that comes back quickly after the server was away;
// grpc's usual waits grow to two minutes.
func connect(endpoint string) (*clientv3.Client, error) {
	name, password, _ := strings.Cut(credentials.user, ":")
	var trust *tls.Config
	if credentials.caCert != "" {
		var err error
		if trust, err = (transport.TLSInfo{TrustedCAFile: credentials.caCert}).ClientConfig(); err != nil {
			return nil, err
		}
	}
	return clientv3.New(clientv3.Config{
		Username:           name,
		Password:           password,
		TLS:                trust,
		Endpoints:          []string{endpoint},
		DialTimeout:        5 * time.Second,
		MaxCallRecvMsgSize: 64 << 20,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 30 * time.Millisecond, Multiplier: 1.3, MaxDelay: 300 * time.Millisecond},
			MinConnectTimeout: time.Second,
		})},
	})
}

// connectAll opens several connections; close gives all of them up.
func connectAll(endpoint string, count int) (clients []*clientv3.Client, closeAll func(), err error) {
	closeAll = func() {
		for _, client := range clients {
			_ = client.Close()
		}
	}
	for range count {
		client, err := connect(endpoint)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		clients = append(clients, client)
	}
	return clients, closeAll, nil
}

// requireLocal ends the program unless the endpoint is on this machine and no argument is left over.
func requireLocal(tool, endpoint string, left int) {
	isLocal := strings.HasPrefix(endpoint, "http://127.0.0.1:") || strings.HasPrefix(endpoint, "https://127.0.0.1:")
	if !isLocal || left > 0 {
		fmt.Fprintf(os.Stderr, "%s: --endpoint must be http(s)://127.0.0.1:PORT, and nothing follows the flags\n", tool)
		os.Exit(2)
	}
}

// finish prints one line of JSON, or what went wrong, and ends the program.
func finish(tool string, report any, err error) {
	if err == nil {
		var line []byte
		if line, err = json.Marshal(report); err == nil {
			fmt.Println(string(line))
			return
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", tool, err)
	os.Exit(1)
}
