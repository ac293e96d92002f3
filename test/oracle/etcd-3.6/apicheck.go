package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// apiAreas are scripts of calls. Each starts on a fresh server, does the same each time, and prints a line
// for every answer, so two servers' answers can be laid side by side.
var apiAreas = map[string]func(*apiCheck) error{
	"range":       checkRange,
	"put":         checkPut,
	"delete":      checkDelete,
	"txn":         checkTxn,
	"compare":     checkCompare,
	"compact":     checkCompact,
	"limits":      checkLimits,
	"watch":       checkWatch,
	"watch-past":  checkWatchPast,
	"watch-many":  checkWatchMany,
	"progress":    checkProgress,
	"notify":      checkNotify,
	"lease":       checkLease,
	"lease-ends":  checkLeaseEnds,
	"cluster":     checkCluster,
	"alarm":       checkAlarm,
	"maintenance": checkMaintenance,
	"lock":        checkLock,
	"election":    checkElection,
	"client":      checkClient,
	"services":    checkServices,
}

// apiCheck is one run of one area.
type apiCheck struct {
	ctx    context.Context
	conn   *grpc.ClientConn
	client *clientv3.Client
	kv     pb.KVClient
	out    *bufio.Writer
	names  apiNames
}

// runAPICheck is `apicheck AREA --endpoint URL`; `apicheck list` prints the areas.
func runAPICheck(args []string) {
	flags := flag.NewFlagSet("apicheck", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "client URL on 127.0.0.1")
	limit := flags.Duration("limit", time.Minute, "give up after this time")
	if len(args) > 0 && args[0] == "list" {
		names := make([]string, 0, len(apiAreas))
		for name := range apiAreas {
			names = append(names, name)
		}
		slices.Sort(names)
		finish("apicheck", names, nil)
		return
	}
	if len(args) == 0 || apiAreas[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: apicheck list, or apicheck AREA --endpoint URL")
		os.Exit(2)
	}
	_ = flags.Parse(args[1:]) // ExitOnError: it does not come back with one
	requireLocal("apicheck", *endpoint, flags.NArg())
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	check := &apiCheck{ctx: ctx, out: bufio.NewWriter(os.Stdout), names: newAPINames()}
	err := check.run(*endpoint, apiAreas[args[0]])
	_ = check.out.Flush() // a closed stdout leaves nobody to tell
	if err != nil {
		finish("apicheck "+args[0], nil, err)
	}
}

func (c *apiCheck) run(endpoint string, area func(*apiCheck) error) (err error) {
	if c.client, err = connect(endpoint); err != nil {
		return err
	}
	defer c.client.Close()
	// The raw connection has none of clientv3's repeating and mapping of errors.
	c.conn, err = grpc.NewClient(strings.TrimPrefix(endpoint, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return err
	}
	defer c.conn.Close()
	c.kv = pb.NewKVClient(c.conn)
	if err := c.learnNames(); err != nil {
		return err
	}
	return area(c)
}

// learnNames finds out the ids that differ from server to server.
func (c *apiCheck) learnNames() error {
	members, err := pb.NewClusterClient(c.conn).MemberList(c.ctx, &pb.MemberListRequest{})
	if err != nil {
		return err
	}
	c.names.learn(members.Header.ClusterId, "the-cluster")
	for _, member := range members.Members {
		c.names.learn(member.ID, "member-"+member.Name)
		for _, url := range member.PeerURLs {
			c.names.texts[url] = "the-peer-url"
		}
		for _, url := range member.ClientURLs {
			c.names.texts[url] = "the-client-url"
		}
	}
	return nil
}

// say prints one line: the step, and its answer or its error.
func (c *apiCheck) say(step string, answer any, err error) {
	line := map[string]any{"step": c.names.replaceIn(step)}
	if err != nil {
		known, _ := status.FromError(err)
		line["code"], line["text"] = known.Code().String(), c.names.replaceIn(known.Message())
	} else {
		line["answer"] = c.names.plain(answer)
	}
	text, failure := json.Marshal(line)
	if failure != nil {
		text = fmt.Appendf(nil, `{"step":%q,"unprintable":%q}`, step, failure.Error())
	}
	fmt.Fprintf(c.out, "%s\n", text)
	_ = c.out.Flush() // so that the lines before a hanging call can be seen
}

func (c *apiCheck) rangeStep(step string, request *pb.RangeRequest) *pb.RangeResponse {
	response, err := c.kv.Range(c.ctx, request)
	c.say(step, response, err)
	return response
}

func (c *apiCheck) putStep(step string, request *pb.PutRequest) *pb.PutResponse {
	response, err := c.kv.Put(c.ctx, request)
	c.say(step, response, err)
	return response
}

func (c *apiCheck) deleteStep(step string, request *pb.DeleteRangeRequest) {
	response, err := c.kv.DeleteRange(c.ctx, request)
	c.say(step, response, err)
}

func (c *apiCheck) txnStep(step string, request *pb.TxnRequest) {
	response, err := c.kv.Txn(c.ctx, request)
	c.say(step, response, err)
}

func (c *apiCheck) compactStep(step string, request *pb.CompactionRequest) {
	response, err := c.kv.Compact(c.ctx, request)
	c.say(step, response, err)
}

// puts writes keys without saying anything; each is one revision.
func (c *apiCheck) puts(pairs ...string) error {
	for at := 0; at < len(pairs); at += 2 {
		if _, err := c.kv.Put(c.ctx, &pb.PutRequest{Key: []byte(pairs[at]), Value: []byte(pairs[at+1])}); err != nil {
			return err
		}
	}
	return nil
}

// everything says what all keys look like now.
func (c *apiCheck) everything(step string) {
	c.rangeStep(step, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
}
