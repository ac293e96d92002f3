package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authParts are what can be run on a fresh server; each does the same every time and prints lines
// `who | what | answer` in which nothing depends on time or on ids the server chooses.
var authParts = map[string]func(*authRun) error{
	"cells":   runAuthCells,
	"effects": runAuthEffects,
	"leases":  runAuthLeases,
	"tokens":  runAuthTokens,
	"renew":   runAuthRenew,
}

const (
	authCallLimit = 5 * time.Second
	authRoot      = "root"
)

// authRun is one run of one part. It speaks over a raw connection, which repeats and rewrites nothing.
type authRun struct {
	ctx         context.Context
	endpoint    string
	ttl         time.Duration
	people      string
	conn        *grpc.ClientConn
	kv          pb.KVClient
	lease       pb.LeaseClient
	watch       pb.WatchClient
	auth        pb.AuthClient
	cluster     pb.ClusterClient
	maintenance pb.MaintenanceClient
	locker      v3lockpb.LockClient
	election    v3electionpb.ElectionClient
	out         *bufio.Writer
	names       apiNames
	own         *pb.Member
	// rootToken is what root shows; empty while authentication is off.
	rootToken string
	// base is the revision after which the keys are as authKeys says.
	base int64
	// touched is the revision of what was last written for watches to see.
	touched int64
	// row is whose requests are made, and token what they show; empty for none.
	row   authPerson
	token string
}

// runAuthMatrix is `authmatrix PART --endpoint URL`; `authmatrix list` prints the parts.
func runAuthMatrix(args []string) {
	flags := flag.NewFlagSet("authmatrix", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "client URL on 127.0.0.1")
	limit := flags.Duration("limit", 2*time.Minute, "give up after this time")
	people := flags.String("people", "", "whose rows to make, separated by commas; everybody's unless given")
	ttl := flags.Duration("token-ttl", 0, "how long the server's tokens live, for the part renew")
	if len(args) > 0 && args[0] == "list" {
		var names []string
		for name := range authParts {
			names = append(names, name)
		}
		slices.Sort(names)
		finish("authmatrix", names, nil)
		return
	}
	if len(args) == 0 || authParts[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: authmatrix list, or authmatrix PART --endpoint URL")
		os.Exit(2)
	}
	_ = flags.Parse(args[1:]) // ExitOnError: it does not come back with one
	requireLocal("authmatrix", *endpoint, flags.NArg())
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	run := &authRun{ctx: ctx, endpoint: *endpoint, ttl: *ttl, people: *people, out: bufio.NewWriter(os.Stdout), names: newAPINames()}
	err := run.start(authParts[args[0]])
	_ = run.out.Flush() // a closed stdout leaves nobody to tell
	if err != nil {
		finish("authmatrix "+args[0], nil, err)
	}
}

func (r *authRun) start(part func(*authRun) error) (err error) {
	r.conn, err = grpc.NewClient(strings.TrimPrefix(r.endpoint, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return err
	}
	defer r.conn.Close()
	r.kv, r.lease, r.watch = pb.NewKVClient(r.conn), pb.NewLeaseClient(r.conn), pb.NewWatchClient(r.conn)
	r.auth, r.cluster, r.maintenance = pb.NewAuthClient(r.conn), pb.NewClusterClient(r.conn), pb.NewMaintenanceClient(r.conn)
	r.locker, r.election = v3lockpb.NewLockClient(r.conn), v3electionpb.NewElectionClient(r.conn)
	return part(r)
}

// learnMember must come before authentication is on.
func (r *authRun) learnMember() error {
	members, err := r.cluster.MemberList(r.ctx, &pb.MemberListRequest{})
	if err != nil {
		return err
	}
	r.own = members.Members[0]
	r.names.learn(members.Header.ClusterId, "the-cluster")
	r.names.learn(r.own.ID, "the-member")
	r.names.texts[r.own.PeerURLs[0]] = "the-peer-url"
	r.names.texts[r.own.ClientURLs[0]] = "the-client-url"
	return nil
}

// authContext shows a token, or none; the call ends by itself.
func (r *authRun) authContext(token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.ctx, authCallLimit)
	if token == "" {
		return ctx, cancel
	}
	return metadata.AppendToOutgoingContext(ctx, "token", token), cancel
}

// logIn asks for a token.
func (r *authRun) logIn(name, password string) (string, error) {
	answer, err := r.auth.Authenticate(r.ctx, &pb.AuthenticateRequest{Name: name, Password: password})
	return answer.GetToken(), err
}

// asRoot does something as root, who logs in again where that was forgotten or became stale.
func (r *authRun) asRoot(what string, call func(ctx context.Context) error) error {
	for attempt := 0; ; attempt++ {
		ctx, cancel := r.authContext(r.rootToken)
		err := call(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if attempt > 0 || r.rootToken == "" || !isTokenFault(err) {
			return fmt.Errorf("root: %s: %w", what, err)
		}
		if err := r.logInRoot(); err != nil {
			return err
		}
	}
}

func isTokenFault(err error) bool {
	text := status.Convert(err).Message()
	return strings.Contains(text, "invalid auth token") || strings.Contains(text, "revision of auth store is old")
}

func (r *authRun) logInRoot() (err error) {
	if r.rootToken, err = r.logIn(authRoot, passwordFor(authRoot)); err != nil {
		return fmt.Errorf("root logs in: %w", err)
	}
	return nil
}

func passwordFor(name string) string { return "password of " + name }

// say prints one line.
func (r *authRun) say(who, what, answer string, err error) {
	if err != nil {
		answer = authFault(err)
	}
	fmt.Fprintf(r.out, "%s | %s | %s\n", who, what, r.names.replaceIn(answer))
	_ = r.out.Flush() // so that the lines before a hanging call can be seen
}

func authFault(err error) string {
	known := status.Convert(err)
	return known.Code().String() + ": " + known.Message()
}

// permission is a grant: of one key without an end.
func permission(kind authpb.Permission_Type, key, end string) *authpb.Permission {
	return &authpb.Permission{PermType: kind, Key: []byte(key), RangeEnd: []byte(end)}
}

func (r *authRun) addRole(name string, grants ...*authpb.Permission) error {
	return r.asRoot("role "+name, func(ctx context.Context) error {
		if _, err := r.auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name}); err != nil {
			return err
		}
		return r.grantAllTo(name, grants)
	})
}

func (r *authRun) grantAllTo(role string, grants []*authpb.Permission) error {
	for _, grant := range grants {
		err := r.asRoot("grant to "+role, func(ctx context.Context) error {
			_, err := r.auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: grant})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *authRun) addUser(name string, roles ...string) error {
	return r.asRoot("user "+name, func(ctx context.Context) error {
		if _, err := r.auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: name, Password: passwordFor(name)}); err != nil {
			return err
		}
		for _, role := range roles {
			if err := r.grantRole(name, role); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *authRun) grantRole(user, role string) error {
	return r.asRoot("grant "+role+" to "+user, func(ctx context.Context) error {
		_, err := r.auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: role})
		return err
	})
}

// enable turns authentication on; root must be there.
func (r *authRun) enable() error {
	if _, err := r.auth.AuthEnable(r.ctx, &pb.AuthEnableRequest{}); err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	return r.logInRoot()
}
