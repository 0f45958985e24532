// main.cc — kembarctl, the operator's tool.
#include "tools/kembarctl/commands.h"

int main(int argc, char** argv) { return kembar::ctl::Main(argc, argv); }
