package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// loadOptions are the flags of `load bench` and `load mixed`; each reads those that concern it.
type loadOptions struct {
	endpoint string
	seed     uint64
	timeout  time.Duration

	// bench
	revisions int
	keys      int
	valueMin  int
	valueMax  int
	parallel  int

	// mixed
	operations int
	prefix     string
	users      bool
	auth       bool
	leases     bool
	compact    bool
}

// loadReport is the one line of JSON on stdout: what was done and where the server stands now.
type loadReport struct {
	Kind            string  `json:"kind"`
	Seed            uint64  `json:"seed"`
	Revision        int64   `json:"revision"`
	CompactRevision int64   `json:"compactRevision"`
	Puts            int     `json:"puts"`
	Deletes         int     `json:"deletes"`
	Txns            int     `json:"txns"`
	LeasesGranted   int     `json:"leasesGranted"`
	LeasesRevoked   int     `json:"leasesRevoked"`
	Compactions     int     `json:"compactions"`
	Users           int     `json:"users"`
	Roles           int     `json:"roles"`
	Auth            bool    `json:"auth"`
	ValueBytes      int64   `json:"valueBytes"`
	Seconds         float64 `json:"seconds"`
}

// runLoad writes to the server at --endpoint and leaves the process with 0, 1 (failed) or 2 (usage).
func runLoad(args []string) {
	var options loadOptions
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.StringVar(&options.endpoint, "endpoint", "", "client URL on 127.0.0.1")
	flags.Uint64Var(&options.seed, "seed", 1, "same seed, same data")
	flags.DurationVar(&options.timeout, "timeout", 10*time.Minute, "give up after this time")
	flags.IntVar(&options.revisions, "revisions", 10_000, "bench: number of writes")
	flags.IntVar(&options.keys, "keys", 2_000, "bench: number of different keys")
	flags.IntVar(&options.valueMin, "value-min", 100, "bench: smallest value in bytes")
	flags.IntVar(&options.valueMax, "value-max", 2048, "bench: largest value in bytes")
	flags.IntVar(&options.parallel, "parallel", 128, "bench: writes in flight")
	flags.IntVar(&options.operations, "operations", 200, "mixed: number of operations")
	flags.StringVar(&options.prefix, "prefix", "app/", "mixed: what every key starts with")
	flags.BoolVar(&options.users, "users", true, "mixed: make users and roles")
	flags.BoolVar(&options.auth, "auth", false, "mixed: switch auth on at the end; needs the users, root has the password root")
	flags.BoolVar(&options.leases, "leases", true, "mixed: grant and revoke leases")
	flags.BoolVar(&options.compact, "compact", true, "mixed: compact now and then")

	writers := map[string]func(context.Context, loadOptions, *loadReport) error{
		"bench": writeBench,
		"mixed": writeMixed,
	}
	if len(args) == 0 || writers[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load bench|mixed --endpoint URL [flags]")
		os.Exit(2)
	}
	_ = flags.Parse(args[1:]) // ExitOnError: it does not come back with one
	if !strings.HasPrefix(options.endpoint, "http://127.0.0.1:") || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "load: --endpoint must be http://127.0.0.1:PORT, and nothing follows the flags")
		os.Exit(2)
	}

	ctx, cancel := context.WithTimeout(context.Background(), options.timeout)
	defer cancel()
	report := loadReport{Kind: args[0], Seed: options.seed}
	start := time.Now()
	if err := writers[args[0]](ctx, options, &report); err != nil {
		fmt.Fprintf(os.Stderr, "load %s: %v\n", args[0], err)
		os.Exit(1)
	}
	report.Seconds = time.Since(start).Seconds()
	line, err := json.Marshal(report)
	if err != nil {
		fmt.Fprintf(os.Stderr, "load %s: %v\n", args[0], err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

// dial opens one connection; the first request is what finds out whether anybody listens.
func dial(options loadOptions) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   []string{options.endpoint},
		DialTimeout: 5 * time.Second,
	})
}
