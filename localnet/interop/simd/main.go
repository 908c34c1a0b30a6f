// Command simd is ibc-go's public test application behind the Cosmos SDK's server commands: the
// real counterparty of the interop scenarios. It can make a home, keep keys, and start.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"cosmossdk.io/log"
	cometconfig "github.com/cometbft/cometbft/config"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/client"
	clientconfig "github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/server"
	servercmd "github.com/cosmos/cosmos-sdk/server/cmd"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sims "github.com/cosmos/cosmos-sdk/testutil/sims"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"
	"github.com/cosmos/ibc-go/v10/testing/simapp"
	"github.com/spf13/cobra"
)

var errNoExport = errors.New("simd does not export its state")

func startApp(logger log.Logger, db dbm.DB, trace io.Writer, options servertypes.AppOptions) servertypes.Application {
	base := server.DefaultBaseappOptions(options)
	return simapp.NewSimApp(logger, db, trace, true, options, base...)
}

func exportApp(
	log.Logger, dbm.DB, io.Writer, int64, bool, []string, servertypes.AppOptions, []string,
) (servertypes.ExportedApp, error) {
	return servertypes.ExportedApp{}, errNoExport
}

// buildRoot gives every command the codecs of one application instance and the configuration
// files of the home.
func buildRoot() *cobra.Command {
	options := sims.NewAppOptionsWithFlagHome(os.TempDir())
	app := simapp.NewSimApp(log.NewNopLogger(), dbm.NewMemDB(), nil, true, options)
	base := client.Context{}.
		WithCodec(app.AppCodec()).
		WithInterfaceRegistry(app.InterfaceRegistry()).
		WithLegacyAmino(app.LegacyAmino()).
		WithTxConfig(app.TxConfig()).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithInput(os.Stdin).
		WithHomeDir(simapp.DefaultNodeHome).
		WithViper("")
	root := &cobra.Command{Use: "simd", SilenceErrors: true, SilenceUsage: true}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(cmd.OutOrStdout())
		cmd.SetErr(cmd.ErrOrStderr())
		ctx, err := client.ReadPersistentCommandFlags(base.WithCmdContext(cmd.Context()), cmd.Flags())
		if err != nil {
			return err
		}
		if ctx, err = clientconfig.ReadFromClientConfig(ctx); err != nil {
			return err
		}
		if err = client.SetCmdClientContextHandler(ctx, cmd); err != nil {
			return err
		}
		defaults := serverconfig.DefaultConfig()
		defaults.MinGasPrices = "0stake"
		return server.InterceptConfigsPreRunHandler(
			cmd, serverconfig.DefaultConfigTemplate, defaults, cometconfig.DefaultConfig(),
		)
	}
	root.AddCommand(
		genutilcli.InitCmd(app.BasicModuleManager, simapp.DefaultNodeHome),
		genutilcli.Commands(app.TxConfig(), app.BasicModuleManager, simapp.DefaultNodeHome),
		keys.Commands(),
	)
	server.AddCommands(root, simapp.DefaultNodeHome, startApp, exportApp, func(*cobra.Command) {})
	return root
}

func main() {
	if err := servercmd.Execute(buildRoot(), "", simapp.DefaultNodeHome); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
