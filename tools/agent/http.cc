// http.cc — see http.h. The one file of the agent that knows the HTTP library.
#include "tools/agent/http.h"

#include <httplib.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>

#include "replicator/base/config_text.h"
#include "tools/agent/documents_thread.h"
#include "tools/agent/sink_thread.h"

namespace kembar::agent {
namespace {

constexpr size_t kThreads = 2;
constexpr time_t kSocketSeconds = 5;  // for a request to arrive, and for an answer to leave
constexpr size_t kRequestBytesMax = size_t{64} << 10;

// `what`: "source postgres/epns_prod".
void AddHealth(const std::string& what, const std::string& state,
               const std::vector<AgentAlarm>& alarms, std::string* text, bool* critical) {
  *critical = *critical || (!alarms.empty() && alarms.front().critical);
  *text += what + ": " + state + "\n";
  for (const AgentAlarm& alarm : alarms) {
    *text += (alarm.critical ? "critical: " : "warning: ") + alarm.text + "\n";
  }
}

std::string Health(const HttpServer::Parts& parts, bool* critical) {
  std::string text;
  if (parts.board != nullptr) {
    const SourceStats stats = parts.board->Read();
    AddHealth("source " + stats.source, SourceStateName(stats.state), Alarms(stats, WallUs()),
              &text, critical);
  }
  if (parts.documents != nullptr) {
    const documents::SourceStatus status = parts.documents->status();
    AddHealth("source " + status.source, status.state, parts.documents->AlarmsNow(), &text,
              critical);
  }
  if (parts.sink != nullptr) {
    const restore::SinkStatus status = parts.sink->status();
    AddHealth("sink " + (status.source.empty() ? "postgres" : status.source),
              SinkStateName(status.state), parts.sink->AlarmsNow(), &text, critical);
  }
  return text;
}

void Route(httplib::Server* server, const std::string& agent, const HttpServer::Parts& parts) {
  server->Get("/healthz", [parts](const httplib::Request&, httplib::Response& response) {
    bool critical = false;
    const std::string text = Health(parts, &critical);
    response.status = critical ? 503 : 200;
    response.set_content((critical ? "" : "ok\n") + text, "text/plain; charset=utf-8");
  });
  server->Get("/metrics", [agent, parts](const httplib::Request&, httplib::Response& response) {
    std::string text;
    if (parts.board != nullptr) text += RenderMetrics(agent, parts.board->Read(), WallUs());
    if (parts.documents != nullptr) text += parts.documents->MetricsNow();
    if (parts.sink != nullptr) text += parts.sink->MetricsNow();
    response.set_content(text, "text/plain; version=0.0.4; charset=utf-8");
  });
  server->set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    response.set_content(std::to_string(response.status) + ": nothing at " + request.path +
                             "; there are /healthz and /metrics\n",
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
                                                      const std::string& agent,
                                                      const Parts& parts) {
  ASSIGN_OR_RETURN(const HostPort where, ParseHostPort(listen));
  auto impl = std::make_unique<Impl>();
  Tune(&impl->server, &impl->running);
  Route(&impl->server, agent, parts);
  errno = 0;
  int port = where.port;
  if (port == 0) {
    port = impl->server.bind_to_any_port(where.host);
  } else if (!impl->server.bind_to_port(where.host, port)) {
    port = -1;
  }
  if (port < 0) {
    return Status(Code::kIo, "cannot listen on " + listen + ": " +
                                 (errno == 0 ? "unknown host" : std::strerror(errno)));
  }
  impl->address = JoinHostPort(where.host, static_cast<uint16_t>(port));
  impl->thread = std::thread([server = &impl->server] { server->listen_after_bind(); });
  impl->running.get_future().wait();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->server.stop();
  impl_->thread.join();
}

const std::string& HttpServer::address() const { return impl_->address; }

}  // namespace kembar::agent
