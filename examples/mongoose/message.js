import mongoose from "mongoose";

const { Schema, model } = mongoose;

/** An ordinary model. `tenantId` is all that PaperDB Realtime asks of it. */
export const Message = model(
  "Message",
  new Schema(
    {
      tenantId: { type: String, required: true, index: true },
      text: { type: String, required: true, maxlength: 500 },
      likes: { type: Number, default: 0 },
    },
    { timestamps: true },
  ),
);
