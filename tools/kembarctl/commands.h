// commands.h — the commands of kembarctl: each adds itself to the command line and, when chosen,
// sets Context::run.
//
// The options of a command live as long as the command line (shared with its run function).
#pragma once

#include "tools/kembarctl/context.h"

namespace CLI {
class App;
}

namespace kembar::ctl {

void AddStatus(CLI::App* app, Context* context);
void AddCheck(CLI::App* app, Context* context);
void AddImport(CLI::App* app, Context* context);
void AddRestoreDocuments(CLI::App* parent, Context* context);
void AddCompareDocuments(CLI::App* parent, Context* context);
void AddImportManual(CLI::App* parent, Context* context);
void AddAppend(CLI::App* app, Context* context);
void AddLog(CLI::App* app, Context* context);
void AddPackage(CLI::App* app, Context* context);
void AddRestore(CLI::App* app, Context* context);
void AddCompare(CLI::App* app, Context* context);
void AddAudit(CLI::App* app, Context* context);
void AddCut(CLI::App* app, Context* context);
void AddSource(CLI::App* app, Context* context);
void AddManual(CLI::App* app, Context* context);
void AddFailover(CLI::App* app, Context* context);
void AddSwitchover(CLI::App* app, Context* context);
void AddConfig(CLI::App* app, Context* context);
void AddMember(CLI::App* app, Context* context);
void AddQuarantine(CLI::App* app, Context* context);
void AddRepair(CLI::App* app, Context* context);
void AddVerify(CLI::App* app, Context* context);
void AddCompletion(CLI::App* app, Context* context);

// Reads the command line, runs the command, prints its error; gives the exit code.
int Main(int argc, char** argv);

}  // namespace kembar::ctl
