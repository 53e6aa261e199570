// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {BeaconProxy} from "@openzeppelin/contracts/proxy/beacon/BeaconProxy.sol";
import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {ERC20Wrapper} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Wrapper.sol";
import {ERC20Upgradeable} from "@openzeppelin/contracts-upgradeable/token/ERC20/ERC20Upgradeable.sol";
import {ERC20 as SoladyERC20} from "solady/src/tokens/ERC20.sol";
import {WETH as SoladyWETH} from "solady/src/tokens/WETH.sol";

/// @notice The proxy as it is published.
contract Proxy is ERC1967Proxy {
    constructor(address implementation, bytes memory data) ERC1967Proxy(implementation, data) {}
}

/// @notice A wrapper of another token as it is published.
contract WrapperToken is ERC20Wrapper {
    constructor(ERC20 token) ERC20("Wrapper", "wCN") ERC20Wrapper(token) {}
}

/// @notice A beacon and a proxy behind it as they are published.
contract Beacon is UpgradeableBeacon {
    constructor(address implementation) UpgradeableBeacon(implementation, msg.sender) {}
}

contract ProxyOfBeacon is BeaconProxy {
    constructor(address beacon, bytes memory data) BeaconProxy(beacon, data) {}
}

/// @notice Solady's wrapped ether as it is published.
contract WrappedBySolady is SoladyWETH {}

contract SoladyToken is SoladyERC20 {
    function name() public pure override returns (string memory) {
        return "Solady";
    }

    function symbol() public pure override returns (string memory) {
        return "SLDY";
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice OpenZeppelin's upgradeable ERC-20: its balances are in the EIP-7201 namespace.
contract UpgradeableToken is ERC20Upgradeable {
    function initialize(string memory name_, string memory symbol_) external initializer {
        __ERC20_init(name_, symbol_);
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice One percent of each transfer is burnt.
contract FeeToken is ERC20 {
    constructor() ERC20("Fee", "FEE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee > 0) super._update(from, address(0), fee);
    }
}

/// @notice The shape of MKR and of early tokens: name and symbol are bytes32, the balances lie behind other fields.
contract Bytes32Token {
    address public owner = msg.sender;
    uint256 public totalSupply;
    bytes32 public constant name = "Maker";
    bytes32 public constant symbol = "MKR";
    uint256 public constant decimals = 18;
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        totalSupply += amount;
        balanceOf[to] += amount;
    }
}

/// @notice The shape of USDT and BNB: transfer returns nothing.
contract NoReturnToken {
    string public constant symbol = "USDT";
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice The shape of a token without the optional functions of EIP-20.
contract BareToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }
}

/// @notice The shape of stETH and Ampleforth: balances are shares, and their worth moves.
contract RebasingToken {
    string public constant symbol = "stETH";
    uint8 public constant decimals = 18;
    uint256 public rateE18 = 1e18;
    mapping(address => uint256) public sharesOf;

    function mint(address to, uint256 shares) external {
        sharesOf[to] += shares;
    }

    function rebase(uint256 rateE18_) external {
        rateE18 = rateE18_;
    }

    function balanceOf(address holder) external view returns (uint256) {
        return sharesOf[holder] * rateE18 / 1e18;
    }
}

/// @notice The shape of FiatToken 2.2 (USDC): the highest bit of the balance's word is the blocklist, in slot 9.
contract BlocklistToken {
    uint256[9] private _before;
    mapping(address => uint256) private _balanceAndBlocklist;
    string public constant symbol = "USDC";
    uint8 public constant decimals = 6;

    function mint(address to, uint256 amount) external {
        _balanceAndBlocklist[to] += amount;
    }

    function blocklist(address holder) external {
        _balanceAndBlocklist[holder] |= 1 << 255;
    }

    function isBlacklisted(address holder) external view returns (bool) {
        return _balanceAndBlocklist[holder] >> 255 == 1;
    }

    function balanceOf(address holder) external view returns (uint256) {
        return _balanceAndBlocklist[holder] & ((1 << 255) - 1);
    }
}

/// @notice The shape of UNI and COMP: a balance has 96 bits of its word.
contract NarrowToken {
    string public constant symbol = "UNI";
    uint8 public constant decimals = 18;
    mapping(address => uint96) private _balances;

    function mint(address to, uint96 amount) external {
        _balances[to] += amount;
    }

    function balanceOf(address holder) external view returns (uint256) {
        return _balances[holder];
    }
}

/// @notice The shape of MRC20, CELO and Arc's USDC: the chain's own coin as a token, here with 6 decimals.
contract CoinAsToken {
    string public constant symbol = "COIN";
    uint8 public constant decimals = 6;

    function balanceOf(address holder) external view returns (uint256) {
        return holder.balance / 1e12;
    }
}

/// @notice A token whose balances lie in a contract of their own, as those of SNX do: it has several entries.
contract TokenState {
    mapping(address => uint256) public balanceOf;
    bool public paused;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }
}

contract EntryToken {
    TokenState private immutable _state;
    string public constant symbol = "SNX";
    uint8 public constant decimals = 18;

    constructor(TokenState state) {
        _state = state;
    }

    function balanceOf(address holder) external view returns (uint256) {
        return _state.balanceOf(holder);
    }
}

/// @notice Tokens of their own that ask one switch: they have a word in common, and no balance.
contract SwitchedToken {
    TokenState private immutable _state;
    mapping(address => uint256) private _balances;
    string public constant symbol = "SWT";
    uint8 public constant decimals = 18;

    error Paused();

    constructor(TokenState state) {
        _state = state;
    }

    function mint(address to, uint256 amount) external {
        _balances[to] += amount;
    }

    function balanceOf(address holder) external view returns (uint256) {
        require(!_state.paused(), Paused());
        return _balances[holder];
    }
}

/// @notice The shapes by which tokens of lending markets are known.
contract MarketToken is ERC20 {
    bytes32 private immutable _view;

    constructor(string memory view_) ERC20("Market", "MKT") {
        _view = keccak256(bytes(view_));
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    fallback() external {
        require(bytes4(_view) == msg.sig);
        assembly {
            mstore(0, 1)
            return(0, 32)
        }
    }
}

/// @notice A vault that gives out a part of the shares, as one with a time lock or without liquidity does.
contract LockedVault is ERC4626 {
    uint256 public open = type(uint256).max;
    bool public silent;

    error Silent();

    constructor(ERC20 token) ERC20("Locked", "LCK") ERC4626(token) {}

    function openUpTo(uint256 shares) external {
        open = shares;
    }

    function fallSilent() external {
        silent = true;
    }

    function maxRedeem(address holder) public view override returns (uint256) {
        require(!silent, Silent());
        uint256 all = super.maxRedeem(holder);
        return all < open ? all : open;
    }
}

/// @notice A vault that says whatever it is told a share converts to, or nothing at all.
contract InflatedVault is ERC4626 {
    uint256 public inflationE18 = 1e18;
    bool public stopped;

    error Stopped();

    constructor(ERC20 token) ERC20("Inflated", "INF") ERC4626(token) {}

    function inflate(uint256 inflationE18_) external {
        inflationE18 = inflationE18_;
    }

    function stop() external {
        stopped = true;
    }

    function convertToAssets(uint256 shares) public view override returns (uint256) {
        require(!stopped, Stopped());
        return super.convertToAssets(shares) * inflationE18 / 1e18;
    }
}
