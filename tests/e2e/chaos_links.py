"""The links between the nodes of a chaos run, each through a proxy, and the weather over them: a thread
that delays, holds and cuts links at random."""
import contextlib
import itertools
import threading

from cluster import free_port
from proxy import Proxy


class Link:
    """What connects two nodes: one proxy, or two when both of them dial."""

    def __init__(self, names):
        self.names = names
        self._proxies = []  # (who dials, proxy)

    def add(self, dialer, proxy):
        self._proxies.append((dialer, proxy))

    def directions(self, sender):
        """Every way from `sender` to the other node."""
        return [p.forward if dialer == sender else p.backward for dialer, p in self._proxies]

    def hold(self, sender):
        for direction in self.directions(sender):
            direction.hold()

    def delay(self, sender, seconds):
        for direction in self.directions(sender):
            direction.delay_s = seconds

    def cut(self):
        for _, proxy in self._proxies:
            proxy.cut()

    def heal(self):
        for _, proxy in self._proxies:
            proxy.forward.delay_s = proxy.backward.delay_s = 0.0
            proxy.heal()

    def stop(self):
        for _, proxy in self._proxies:
            proxy.stop()


class Links:
    """All links of a cluster. Who dials whom is chosen by `rng`; sometimes both do."""

    def __init__(self, cluster, rng):
        self.all = []
        addresses = {node.name: {} for node in cluster}  # dialer: {target: address}
        for a, b in itertools.combinations([node.name for node in cluster], 2):
            link = Link((a, b))
            for dialer, target in rng.choice([[(a, b)], [(b, a)], [(a, b), (b, a)]]):
                proxy = Proxy(free_port(), cluster[target].address)
                link.add(dialer, proxy)
                addresses[dialer][target] = proxy.address
            self.all.append(link)
        self._addresses = addresses

    def peers_of(self, name):
        """(name, address) pairs for the node's configuration; an empty address: the other dials."""
        others = [other for other in self._addresses if other != name]
        return [(other, self._addresses[name].get(other, "")) for other in others]

    def of(self, name):
        return [link for link in self.all if name in link.names]

    def mute(self, name):
        """Nothing that this node says arrives."""
        for link in self.of(name):
            link.hold(name)

    def isolate(self, name):
        for link in self.of(name):
            for sender in link.names:
                link.hold(sender)

    def heal(self):
        for link in self.all:
            link.heal()

    def stop(self):
        for link in self.all:
            link.stop()


class Weather(threading.Thread):
    """One disturbance after the other, until stopped. `calm()` keeps it away for a while."""

    def __init__(self, links, rng, count):
        super().__init__(daemon=True)
        self._links, self._rng, self._count = links, rng, count
        self._changed = threading.Condition()
        self._calm = 0
        self._blowing = False
        self._ended = False

    def run(self):
        while self._wait(self._rng.uniform(0.3, 2.0), blowing=False):
            link = self._rng.choice(self._links.all)
            kind, act = self._rng.choice(self._kinds(link))
            with self._changed:
                if self._calm or self._ended:
                    continue
                self._blowing = True
                act()
            self._count(kind)
            self._wait(self._rng.uniform(0.1, 3.0), blowing=True)
            link.heal()
            with self._changed:
                self._blowing = False
                self._changed.notify_all()

    def _kinds(self, link):
        sender = self._rng.choice(link.names)
        seconds = self._rng.uniform(0.005, 0.15)
        return [("one-way partition", lambda: link.hold(sender)),
                ("partition", lambda: [link.hold(name) for name in link.names]),
                ("cut", link.cut),
                ("cut and healed", lambda: (link.cut(), link.heal())),
                ("delay", lambda: link.delay(sender, seconds)),
                ("delay", lambda: [link.delay(name, seconds) for name in link.names])]

    def _wait(self, seconds, blowing):
        """Lets time pass; a call for calm ends what blows. False once all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (blowing and self._calm), timeout=seconds)
            if not blowing:
                self._changed.wait_for(lambda: self._ended or not self._calm)
            return not self._ended

    @contextlib.contextmanager
    def calm(self):
        with self._changed:
            self._calm += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._blowing)
        try:
            yield
        finally:
            with self._changed:
                self._calm -= 1
                self._changed.notify_all()

    def stop(self):
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.join()
        self._links.heal()
