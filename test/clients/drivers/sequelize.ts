/** Sequelize: models, instances that save themselves, a pool of one connection. */
import {
  type CreationOptional,
  DataTypes,
  type InferAttributes,
  type InferCreationAttributes,
  Model,
  QueryTypes,
  Sequelize,
} from "sequelize";
import { z } from "zod";
import type { Driver } from "./driver.js";

class Order extends Model<InferAttributes<Order>, InferCreationAttributes<Order>> {
  declare id: CreationOptional<string>;
  declare note: string;
  declare amount: string;
  declare created_at: Date;
}

/** Sequelize as an application sets it up. */
export async function openSequelize(url: string): Promise<Driver> {
  const pool = { min: 1, max: 1, idle: 3_600_000, evict: 3_600_000 };
  const sequelize = new Sequelize(url, { dialect: "postgres", logging: false, pool });
  Order.init(
    {
      id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
      note: { type: DataTypes.TEXT, allowNull: false },
      amount: { type: DataTypes.DECIMAL, allowNull: false },
      created_at: { type: DataTypes.DATE, allowNull: false },
    },
    { sequelize, tableName: "orders", timestamps: false },
  );
  return {
    pid: async () => {
      const rows = await sequelize.query("SELECT pg_backend_pid() AS pid", { type: QueryTypes.SELECT });
      return z.tuple([z.object({ pid: z.number() })]).parse(rows)[0].pid;
    },
    insert: async ({ note, amount, at }) =>
      (await Order.create({ note, amount, created_at: new Date(at) })).id,
    read: async (id) => {
      const order = await Order.findByPk(id);
      if (order === null) return null;
      return { note: order.note, amount: order.amount, at: order.created_at.toISOString() };
    },
    // An instance that saves itself: UPDATE ... WHERE id = ... RETURNING.
    update: async (id, note) => {
      const order = await Order.findByPk(id);
      if (order === null) return 0;
      await order.update({ note });
      return 1;
    },
    move: async (id, at) => (await Order.update({ created_at: new Date(at) }, { where: { id } }))[0],
    remove: (id) => Order.destroy({ where: { id } }),
    close: () => sequelize.close(),
  };
}
