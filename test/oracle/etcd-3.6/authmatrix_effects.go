package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
)

// authSession is a user with what was opened while all was well.
type authSession struct {
	r      *authRun
	user   string
	token  string
	cancel context.CancelFunc
	watch  *authWatch
	alive  pb.Lease_LeaseKeepAliveClient
	seen   chan string
}

// runAuthEffects shows what changes of users and roles do to streams that are open and to tokens.
func runAuthEffects(r *authRun) error {
	if err := r.setUpKeys(); err != nil {
		return err
	}
	if err := r.sayBeforeEnabled(); err != nil {
		return err
	}
	effects := []struct {
		name         string
		change, back authCall
	}{
		{"permission revoked", revokeFrom("its", "k/", "k0"), grantTo("its", permission(mayBoth, "k/", "k0"))},
		{"permission lowered", grantTo("its", permission(mayRead, "k/", "k0")), grantTo("its", permission(mayBoth, "k/", "k0"))},
		{"role revoked", revokeRoleFrom("its", "its"), grantRoleTo("its", "its")},
		{"role deleted", deleteRole("its"), inTurn(addRole("its"), grantTo("its", permission(mayBoth, "k/", "k0")), grantRoleTo("its", "its"))},
		{"password changed", changePassword("its", "another"), changePassword("its", passwordFor("its"))},
		{"user deleted", deleteUser("its"), inTurn(addUser("its", passwordFor("its"), false), grantRoleTo("its", "its"))},
		{"authentication off", switchAuth(false), switchAuth(true)},
		{"authentication off and on", inTurn(switchAuth(false), switchAuth(true)), nothingToUndo},
		{"another role added", addRole("other"), deleteRole("other")},
	}
	for _, each := range effects {
		if err := r.sayEffect(each.name, each.change, each.back); err != nil {
			return fmt.Errorf("%s: %w", each.name, err)
		}
	}
	return r.sayWaiting()
}

// switchAuth turns authentication on or off. After it is on, root has to log in again.
func switchAuth(isOn bool) authCall {
	return func(r *authRun, ctx context.Context) error {
		if !isOn {
			_, err := r.auth.AuthDisable(ctx, &pb.AuthDisableRequest{})
			return err
		}
		return r.enable()
	}
}

// sayBeforeEnabled shows what must be there before authentication can be on, and that until then nobody is asked.
func (r *authRun) sayBeforeEnabled() error {
	enable := func(what string) {
		_, err := r.auth.AuthEnable(r.ctx, &pb.AuthEnableRequest{})
		r.say("anybody", what, "OK", err)
	}
	_, err := r.logIn("root", "x")
	r.say("anybody", "log in while it is off", "OK", err)
	enable("enable without root")
	if err := r.addUser("root"); err != nil {
		return err
	}
	enable("enable without role root")
	for _, step := range []error{
		r.addRole("its", permission(mayBoth, "k/", "k0")), r.addUser("its", "its"),
		r.addRole("root"), r.grantRole("root", "root"),
	} {
		if step != nil {
			return step
		}
	}
	r.sayState("before")
	ctx, cancel := r.authContext("no token at all")
	_, err = r.kv.Range(ctx, rangeOf("k/a", ""))
	cancel()
	r.say("anybody", "get with an invalid token while it is off", "OK", err)
	enable("enable")
	r.rootToken, err = r.logIn("root", passwordFor("root"))
	r.say("root", "log in", "OK", err)
	r.sayState("on")
	return err
}

// sayState is the revision of users and roles, which grows with what is changed.
func (r *authRun) sayState(what string) {
	ctx, cancel := r.authContext(r.rootToken)
	defer cancel()
	answer, err := r.auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
	r.say("root", what+": state", fmt.Sprintf("on %v, revision %d", answer.GetEnabled(), answer.GetAuthRevision()), err)
}

func (r *authRun) sayEffect(name string, change, back authCall) error {
	session, err := r.openSession("its", name)
	if err != nil {
		return err
	}
	defer session.cancel()
	session.sayAll(name+": before", true)
	if err := r.asRoot(name, func(ctx context.Context) error { return change(r, ctx) }); err != nil {
		return err
	}
	r.forgetTokenWhileOff()
	session.sayAll(name+": after", true)
	session.sayFresh(name + ": after")
	r.sayState(name)
	if err := r.asRoot("back from "+name, func(ctx context.Context) error { return back(r, ctx) }); err != nil {
		return err
	}
	session.sayAll(name+": put right", false)
	session.sayFresh(name + ": put right")
	return r.logInRoot()
}

// forgetTokenWhileOff keeps root from showing what is of no use.
func (r *authRun) forgetTokenWhileOff() {
	answer, err := r.auth.AuthStatus(r.ctx, &pb.AuthStatusRequest{})
	if err == nil && !answer.Enabled {
		r.rootToken = ""
	}
}

// openSession logs in, and opens a watch, a stream that keeps a lease, and one that observes an election.
func (r *authRun) openSession(user, when string) (*authSession, error) {
	token, err := r.logIn(user, passwordFor(user))
	if err != nil {
		return nil, err
	}
	session := &authSession{r: r, user: user, token: token, seen: make(chan string, 8)}
	// The call's own limit is for calls that end soon.
	ctx, cancel := context.WithCancel(withToken(r.ctx, token))
	session.cancel = cancel
	if session.watch, err = r.openWatch(ctx); err != nil {
		return nil, err
	}
	if _, _, err := session.watch.create(watchOf("k/", "k0")); err != nil {
		return nil, err
	}
	if session.alive, err = r.lease.LeaseKeepAlive(ctx); err != nil {
		return nil, err
	}
	observer, err := r.election.Observe(ctx, &v3electionpb.LeaderRequest{Name: []byte("k/vote")})
	if err != nil {
		return nil, err
	}
	go session.observe(observer)
	r.say(user, when+": observes", session.observed(), nil)
	return session, nil
}

func (s *authSession) observe(stream v3electionpb.Election_ObserveClient) {
	for {
		answer, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			s.seen <- "the end"
			return
		case err != nil:
			s.seen <- authFault(err)
			return
		}
		s.seen <- leaderText(answer)
	}
}

// sayAll shows what comes on the open streams, and what is answered to the token.
func (s *authSession) sayAll(when string, isStreaming bool) {
	r := s.r
	say := func(what, answer string, err error) { r.say(s.user, when+": "+what, answer, err) }
	if err := r.touch("k/a", "x/1", "k/e"); err != nil {
		say("touch", "", err)
	}
	events, err := s.watch.events()
	say("events of the open watch", events, err)
	text, isMade, err := s.watch.create(watchOf("k/b", "k/d"))
	say("another watch on that stream", text, err)
	if isMade {
		_ = r.touch("k/b", "k/d")
		events, err = s.watch.events()
		say("events of both", events, err)
	}
	if err := r.touch("k/vote/1"); err != nil {
		say("touch", "", err)
	}
	say("the open stream that observes", s.observed(), nil)
	if isStreaming {
		text, err = s.keepLease()
		say("the open stream that keeps a lease", text, err)
	}
	ctx, cancel := r.authContext(s.token)
	defer cancel()
	got, err := r.kv.Range(ctx, rangeOf("k/a", ""))
	say("get", rangeText(got), err)
	got, err = r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("k/a"), Serializable: true})
	say("get serializable", rangeText(got), err)
	put, err := r.kv.Put(ctx, &pb.PutRequest{Key: []byte("k/a"), Value: []byte("a")})
	say("put", putText(put), err)
	_, err = r.cluster.MemberList(ctx, &pb.MemberListRequest{})
	say("list members", "OK", err)
	_, err = r.auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: s.user})
	say("get oneself", "OK", err)
	granted, err := r.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 0x300, TTL: 100})
	say("grant a lease", fmt.Sprint(granted.GetTTL()), err)
	_, err = r.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 0x300})
	say("revoke a lease", "OK", err)
	_ = r.asRoot("revoke", func(ctx context.Context) error {
		_, _ = r.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 0x300}) // it is mostly gone
		return nil
	})
}

// observed is what comes next on the stream that observes the election.
func (s *authSession) observed() string {
	select {
	case text := <-s.seen:
		return text
	case <-time.After(authCallLimit):
		return "nothing"
	}
}

func (s *authSession) keepLease() (string, error) {
	if err := s.alive.Send(&pb.LeaseKeepAliveRequest{ID: leaseInK}); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	answer, err := s.alive.Recv()
	return fmt.Sprintf("for %d s", answer.GetTTL()), err
}

// sayFresh shows what a new login, a new stream and somebody without a token come to.
func (s *authSession) sayFresh(when string) {
	r := s.r
	token, err := r.logIn(s.user, passwordFor(s.user))
	r.say(s.user, when+": log in", fmt.Sprintf("a token %v", token != ""), err)
	for _, each := range []struct{ what, token string }{{"the old token", s.token}, {"no token", ""}, {"the new token", token}} {
		if each.what == "the new token" && token == "" {
			continue
		}
		ctx, cancel := r.authContext(each.token)
		got, err := r.kv.Range(ctx, rangeOf("k/a", ""))
		r.say(s.user, when+": get with "+each.what, rangeText(got), err)
		watch, err := r.openWatch(ctx)
		text := ""
		if err == nil {
			text, _, err = watch.create(watchOf("k/", "k0"))
		}
		r.say(s.user, when+": watch with "+each.what, text, err)
		cancel()
	}
}

// sayWaiting shows what becomes of somebody who waits for a lock.
func (r *authRun) sayWaiting() error {
	for _, isRevoked := range []bool{false, true} {
		if err := r.sayWaitingFor(isRevoked); err != nil {
			return err
		}
	}
	return nil
}

func withToken(ctx context.Context, token string) context.Context {
	return tokenUnder(ctx, "token", token)
}

// settleDown is longer than anything takes that nobody can ask about.
const settleDown = 300 * time.Millisecond
