// http_server.cc — see http_server.h. The one file that knows the HTTP library.
#include "node/http/http_server.h"

#include <httplib.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <future>
#include <thread>

#include "node/http/metrics.h"
#include "node/http/status_page.h"
#include "replicator/base/config_text.h"

namespace kembar {
namespace {

constexpr size_t kThreads = 4;
constexpr time_t kSocketSeconds = 5;  // for a request to arrive, and for an answer to leave
constexpr size_t kRequestBytesMax = size_t{64} << 10;

std::string HealthText(const NodeSnapshot& snapshot, const std::vector<std::string>& unhealthy) {
  std::string text = unhealthy.empty() ? "ok\n" : "";
  for (const std::string& reason : unhealthy) text += reason + "\n";
  for (const auto& [log, status] : snapshot.logs) {
    text += "log " + log + ": " + std::string(LogStateName(status.state)) + "\n";
    for (const Alarm& alarm : LogAlarms(snapshot, log)) {
      text += "log " + log + ": " + (alarm.critical ? "critical: " : "warning: ") +
              AlarmText(alarm) + "\n";
    }
  }
  return text;
}

void Route(httplib::Server* server, const HttpServer::SnapshotFn& snapshot) {
  server->Get("/healthz", [snapshot](const httplib::Request&, httplib::Response& response) {
    const NodeSnapshot now = snapshot();
    const std::vector<std::string> unhealthy = Unhealthy(now);
    response.status = unhealthy.empty() ? 200 : 503;
    response.set_content(HealthText(now, unhealthy), "text/plain; charset=utf-8");
  });
  server->Get("/metrics", [snapshot](const httplib::Request&, httplib::Response& response) {
    response.set_content(RenderMetrics(snapshot()), "text/plain; version=0.0.4; charset=utf-8");
  });
  server->Get("/", [snapshot](const httplib::Request& request, httplib::Response& response) {
    const Language language = LanguageFrom(request.get_param_value("lang"));
    response.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response.set_content(RenderStatusPage(snapshot(), language), "text/html; charset=utf-8");
  });
  const auto later = [](const httplib::Request&, httplib::Response& response) {
    response.status = 404;
    response.set_content("not here yet: this version publishes no checkpoints or tiles\n",
                         "text/plain; charset=utf-8");
  };
  server->Get("/checkpoint", later);
  server->Get("/tile/.*", later);
  server->set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    response.set_content(std::to_string(response.status) + ": nothing at " + request.path +
                             "; there are /, /healthz and /metrics\n",
                         "text/plain; charset=utf-8");
  });
}

// `running` is fulfilled once Server::stop has an effect: before, it would be forgotten.
void Tune(httplib::Server* server, std::promise<void>* running) {
  server->new_task_queue = [running] {
    running->set_value();
    return new httplib::ThreadPool(kThreads);
  };
  // The library's default would let a second process share the port.
  server->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server->set_read_timeout(kSocketSeconds);
  server->set_write_timeout(kSocketSeconds);
  server->set_keep_alive_timeout(kSocketSeconds);
  server->set_payload_max_length(kRequestBytesMax);
  server->set_tcp_nodelay(true);
  server->set_default_headers(
      {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
}

}  // namespace

struct HttpServer::Impl {
  std::promise<void> running;
  httplib::Server server;
  std::string address;
  std::thread thread;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                      const SnapshotFn& snapshot) {
  ASSIGN_OR_RETURN(const HostPort where, ParseHostPort(listen));
  auto impl = std::make_unique<Impl>();
  Tune(&impl->server, &impl->running);
  Route(&impl->server, snapshot);
  errno = 0;
  int port = where.port;
  if (port == 0) {
    port = impl->server.bind_to_any_port(where.host);
  } else if (!impl->server.bind_to_port(where.host, port)) {
    port = -1;
  }
  if (port < 0) {
    std::string why = errno == 0 ? "unknown host" : std::strerror(errno);
    why.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(why.front())));
    return Status(Code::kIo, "cannot listen on " + listen + ": " + why);
  }
  impl->address = JoinHostPort(where.host, static_cast<uint16_t>(port));
  impl->thread = std::thread([server = &impl->server] { server->listen_after_bind(); });
  impl->running.get_future().wait();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() { Stop(); }

void HttpServer::Stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

const std::string& HttpServer::address() const { return impl_->address; }

}  // namespace kembar
